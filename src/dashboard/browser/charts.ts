import uPlot from "uplot";
import type { Points } from "./follow.ts";

/** So many points are kept: an hour, one a second. */
const MAX_POINTS = 3600;
const HEIGHT = 180;

interface Chart {
  readonly element: HTMLElement;
  readonly columns: (number | null)[][];
  plot: uPlot | undefined;
}

/** The lines on a page. */
export class Charts {
  readonly #charts = new Map<string, Chart>();
  #range = 300;

  constructor(root: Document) {
    for (const element of root.querySelectorAll<HTMLElement>("[data-chart]")) {
      const [steps, ...lines]: [number[], ...number[][]] = JSON.parse(
        element.dataset["columns"]!,
      );
      let time = 0;
      this.#charts.set(element.dataset["chart"]!, {
        element,
        columns: [steps.map((step) => time += step), ...lines],
        plot: undefined,
      });
    }
    if (this.#charts.size === 0) return;
    this.#drawAll();
    new ResizeObserver(() => {
      for (const { plot, element } of this.#charts.values()) {
        if (element.clientWidth > 0) {
          plot?.setSize({ width: element.clientWidth, height: HEIGHT });
        }
      }
    }).observe([...this.#charts.values()][0]!.element);
    matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", () => this.#drawAll());
    for (const button of root.querySelectorAll<HTMLElement>("[data-range]")) {
      button.addEventListener("click", () => this.#choose(root, button));
    }
  }

  /** Adds a point to a line. */
  add({ chart, time, values }: Points): void {
    const found = this.#charts.get(chart);
    if (found === undefined) return;
    const { columns } = found;
    const times = columns[0] as number[];
    const last = times.at(-1);
    if (last !== undefined && time < last) return;
    if (last === time) { for (const column of columns) column.pop(); }
    times.push(time);
    values.forEach((value, at) => columns[at + 1]?.push(value));
    if (times.length > MAX_POINTS) {
      for (const column of columns) column.shift();
    }
    this.#show(found);
  }

  #choose(root: Document, chosen: HTMLElement): void {
    this.#range = Number(chosen.dataset["range"]);
    for (const button of root.querySelectorAll<HTMLElement>("[data-range]")) {
      button.setAttribute("aria-pressed", String(button === chosen));
    }
    for (const chart of this.#charts.values()) this.#show(chart);
  }

  #drawAll(): void {
    for (const chart of this.#charts.values()) this.#draw(chart);
  }

  #show(chart: Chart): void {
    const { plot, columns } = chart;
    const now = columns[0]!.at(-1) ?? Date.now() / 1000;
    plot?.batch(() => {
      plot.setData(columns as uPlot.AlignedData, false);
      plot.setScale("x", { min: now - this.#range, max: now });
    });
  }

  #draw(chart: Chart): void {
    const { element } = chart;
    chart.plot?.destroy();
    element.replaceChildren();
    const style = getComputedStyle(element);
    // What is drawn knows colours only, and no variables.
    const probe = element.appendChild(document.createElement("span"));
    const color = (name: string): string => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const names: string[] = JSON.parse(element.dataset["series"]!);
    const axis: uPlot.Axis = {
      stroke: color("--quiet"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: `11px ${style.fontFamily}`,
    };
    chart.plot = new uPlot(
      {
        width: element.clientWidth || 600,
        height: HEIGHT,
        cursor: { y: false, drag: { x: false, y: false } },
        legend: { show: names.length > 1, live: false },
        scales: {
          y: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.15)] },
        },
        axes: [
          {
            ...axis,
            size: 28,
            space: 70,
            values: [
              [3600, "{HH}:{mm}", null, null, null, null, null, null, 1],
              [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
              [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
            ],
          },
          { ...axis, size: 44 },
        ],
        series: [
          {},
          ...names.map((label, at): uPlot.Series => ({
            label,
            stroke: color(`--series-${at % 4 + 1}`),
            width: 1.75,
            points: { show: false },
            ...(names.length === 1 && { fill: color("--series-fill") }),
          })),
        ],
      },
      chart.columns as uPlot.AlignedData,
      element,
    );
    probe.remove();
    this.#show(chart);
  }
}
