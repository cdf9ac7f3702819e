import { PYTHON } from "./python.ts";

/** Listens with a queue that is full, so that who connects hears nothing, as behind a firewall. */
const PROGRAM = `
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
waiting = []
for _ in range(4):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    waiting.append(client)
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
`;

/** A port of this host at which nobody ever answers, neither yes nor no. */
export class HangingListener implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<HangingListener> {
    const child = new Deno.Command(PYTHON, {
      args: ["-c", PROGRAM],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new HangingListener(child, Number(value));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
  }
}
