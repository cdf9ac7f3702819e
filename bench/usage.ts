/** What a process has used so far, as Linux tells it in `/proc`. */
export interface Used {
  /** Processor time of all its threads, in milliseconds. */
  readonly cpu: number;
  /** How often one of its threads was given a processor. */
  readonly switches: number;
}

/** Watches what a process uses. */
export class Usage {
  readonly #pid: number;
  /** What each thread was seen to have used: threads come and go. */
  readonly #threads = new Map<string, Used>();

  /** @param pid The process. */
  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Looks at what it has used until now. */
  async look(): Promise<Used> {
    const tasks = `/proc/${this.#pid}/task`;
    for await (const { name } of Deno.readDir(tasks)) {
      try {
        const text = await Deno.readTextFile(`${tasks}/${name}/schedstat`);
        const [nanoseconds, , switches] = text.split(" ").map(Number);
        this.#threads.set(name, {
          cpu: nanoseconds! / 1e6,
          switches: switches!,
        });
      } catch (error) {
        // It has ended meanwhile, or the kernel does not count nanoseconds.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    if (this.#threads.size === 0) return await this.#ticks();
    const all = [...this.#threads.values()];
    return {
      cpu: all.reduce((sum, { cpu }) => sum + cpu, 0),
      switches: all.reduce((sum, { switches }) => sum + switches, 0),
    };
  }

  /** The memory that it has resident, in MiB. */
  async memory(): Promise<number> {
    const text = await Deno.readTextFile(`/proc/${this.#pid}/status`);
    return Number(/VmRSS:\s*(\d+)/.exec(text)![1]) / 1024;
  }

  /** The processor time in ticks of 10 ms, where there is nothing finer. */
  async #ticks(): Promise<Used> {
    const text = await Deno.readTextFile(`/proc/${this.#pid}/stat`);
    const [user, system] = text.replace(/^.*\) /, "").split(" ").slice(11, 13);
    return { cpu: (Number(user) + Number(system)) * 10, switches: NaN };
  }
}
