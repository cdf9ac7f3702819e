import { RedisBackend, type RequestFields, type Response } from "../../mod.ts";
import { QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";

/** Somebody who asks the device "livingroom". */
export class Client implements AsyncDisposable {
  readonly #backend: RedisBackend;

  constructor(server: TestServer) {
    this.#backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "kitchen",
    });
  }

  ask(
    action: string,
    args: Record<string, unknown> = {},
    init: Partial<RequestFields> = {},
  ): Promise<Response> {
    return this.#backend.sendRequest(
      { target: "livingroom", action, args, ...init },
      { responseTimeout: 60 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend.stop();
  }
}

/** Pushes requests as any program does; their ids are their actions. */
export async function push(
  server: TestServer,
  ...actions: string[]
): Promise<void> {
  await server.run(
    "RPUSH",
    QUEUE,
    ...actions.map((action) =>
      JSON.stringify({
        type: "request",
        target: "livingroom",
        origin: "kitchen",
        id: action,
        action,
      })
    ),
  );
}

export async function answers(
  server: TestServer,
  id: string,
): Promise<Record<string, unknown>[]> {
  const key = `platypush/responses/${id}`;
  const texts = await server.run<string[]>("LRANGE", key, "0", "-1");
  return texts.map((text) => JSON.parse(text));
}
