import { Event, RedisBackend } from "../../mod.ts";
import { type Dashboard, dashboard } from "../../src/dashboard/mod.ts";
import type { Page } from "playwright-core";
import { z } from "zod";
import { freePort, TestServer } from "../servers.ts";

/** The queue of a scene. */
export const QUEUE = "platypush/backend/redis";

/** What an action takes, with each kind of field that there is. */
const SCENE = z.object({
  room: z.string().min(2).describe("Where it is to be"),
  level: z.number().max(1),
  steps: z.int(),
  on: z.boolean(),
  mood: z.enum(["warm", "cold"]),
  title: z.string().default("evening"),
  lamps: z.array(z.string()).optional(),
  place: z.object({ floor: z.number() }).optional(),
  note: z.union([z.string(), z.number()]).optional(),
});

/** A backend with all that a page can show, on a server of its own. */
export class Scene implements AsyncDisposable {
  /** What handlers say about events from the attic. */
  problem: string | undefined = "There is no light in the attic";
  #page: Dashboard | undefined;
  #http: Deno.HttpServer | undefined;

  private constructor(
    readonly server: TestServer,
    readonly backend: RedisBackend,
    readonly kitchen: RedisBackend,
    readonly port: number,
  ) {}

  static async open(): Promise<Scene> {
    const server = await TestServer.start({ socket: false });
    const redisArgs = server.args;
    const backend = new RedisBackend({
      redisArgs,
      deviceId: "livingroom",
      maxDeliveries: 1,
      logger: QUIET,
    });
    const kitchen = new RedisBackend({
      redisArgs,
      queue: "kitchen",
      deviceId: "kitchen",
    });
    const scene = new Scene(server, backend, kitchen, freePort());
    backend.bus.registerHandler(Event, ({ args }) => {
      if (args["room"] === "attic" && scene.problem !== undefined) {
        throw new Error(scene.problem);
      }
    });
    backend.registerAction("light.on", ({ room }) => {
      if (room === "attic") throw new Error("no light in the attic");
      return { lit: room };
    }, { description: "Switches a light on" });
    backend.registerAction("scene.set", (args) => args, { schema: SCENE });
    await backend.start();
    await kitchen.registerService({ interfaces: ["127.0.0.1"] });
    await scene.serve();
    return scene;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Begins to serve the page. */
  serve(): void {
    this.#page = dashboard({
      backend: this.backend,
      undoTime: 2,
      interfaces: ["127.0.0.1"],
      logger: QUIET,
    });
    this.#http = Deno.serve({
      hostname: "127.0.0.1",
      port: this.port,
      onListen: () => {},
    }, this.#page);
  }

  /** Ends the server of the page, and leaves the backend. */
  async end(): Promise<void> {
    await this.#page?.[Symbol.asyncDispose]();
    await this.#http?.shutdown();
  }

  /** Sends events of a room. */
  async send(room: string, count = 1, type = "custom.Motion"): Promise<void> {
    const messages = Array.from({ length: count }, (_, n) => ({
      type: "event",
      target: "livingroom",
      args: { type, room, n },
    }));
    await this.backend.sendMessage(messages);
  }

  /** The number of dead letters. */
  dead(): Promise<number> {
    return this.server.run<number>("LLEN", `{${QUEUE}}:dead`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.kitchen.stop();
    await this.backend.stop();
    await this.server[Symbol.asyncDispose]();
  }
}

const nothing = (): void => {};
/** A logger that says nothing. */
export const QUIET = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};

/** Opens a page of the dashboard, and waits until it follows the server. */
export async function go(
  page: Page,
  scene: Pick<Scene, "url">,
  path: string,
): Promise<void> {
  await page.goto(`${scene.url}/${path}`);
  await page.waitForSelector("html[data-live=yes]", { state: "attached" });
}
