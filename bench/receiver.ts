/** The thread that receives in bench/bus.ts: a worker that does what it is told. */
export class Receiver implements Disposable {
  readonly worker = new Worker(new URL("./bus_worker.ts", import.meta.url), {
    type: "module",
  });

  async tell(command: Record<string, unknown>): Promise<unknown> {
    const reply = Promise.withResolvers<unknown>();
    this.worker.onmessage = ({ data }) => reply.resolve(data);
    this.worker.postMessage(command);
    return await reply.promise;
  }

  async check(expected: number): Promise<void> {
    const { count, disorder } = await this.tell({ do: "report" }) as {
      count: number;
      disorder: number;
    };
    if (count === expected && disorder === 0) return;
    throw new Error(
      `${count} of ${expected} messages arrived, ${disorder} out of order`,
    );
  }

  [Symbol.dispose](): void {
    this.worker.terminate();
  }
}
