/**
 * Counts the work for a host that announces so many services, and for one that
 * looks for them, and prints it: what V8 counts is exact only where it compiles
 * nothing, which is a flag of the process.
 *
 *     deno run -A --v8-flags=--jitless work_of_services.ts NUMBER…
 */
import { encodeMessage, mayConcern } from "../../src/zeroconf/wire_format.ts";
import {
  BrowserUnderTest,
  Cable,
  Host,
  serviceRecords,
  TYPE,
} from "./helpers.ts";
import { workOf } from "./work.ts";

async function count(services: number): Promise<Record<string, number>> {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.10");
  const announcing = await workOf(() => {
    for (let i = 0; i < services; i++) host.register(`service ${i}`, i + 1);
    cable.clock.advance(20_000);
  });
  let answers: ReturnType<Cable["ask"]> = [];
  const answering = await workOf(() => {
    answers = cable.ask({ questions: [{ name: TYPE, type: "PTR" }] });
  });
  const browser = new BrowserUnderTest();
  const finding = await workOf(() => {
    for (const { answers: records = [], additionals = [] } of answers) {
      browser.hear([...records, ...additionals]);
      // Packets come one after the other, and each may be looked at alone.
      browser.clock.advance(20);
    }
    browser.clock.advance(2_000);
  });
  const others = new BrowserUnderTest();
  const hosts = await workOf(() => {
    for (let i = 0; i < services; i++) {
      const records = { instance: `service ${i}`, host: `host-${i}.local` };
      const answers = Object.values(serviceRecords(records));
      const packet = encodeMessage({ type: "response", answers });
      if (mayConcern(packet, [others.querier.labels])) others.hear(answers);
      others.clock.advance(20);
    }
  });
  // After its own first questions: what stands for these is looked at closely.
  others.clock.advance(60_000);
  const questions = Array(10).fill({ name: TYPE, type: "PTR" });
  const asked = await workOf(() => {
    for (let i = 0; i < 300; i++) others.hearQuery({ questions });
  });
  return {
    announcing: announcing.total,
    answering: answering.total,
    finding: finding.total,
    "finding as many hosts": hosts.total,
    "hearing questions": asked.total,
    found: browser.kinds.filter((kind) => kind === "added").length,
  };
}

// What is made once only is not counted.
await count(1);
for (const number of Deno.args) {
  // deno-lint-ignore no-console -- it is what the program is for
  console.log(JSON.stringify(await count(Number(number))));
}
