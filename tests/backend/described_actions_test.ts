import assert from "node:assert/strict";
import * as z from "zod";
import { Backend, type Schema } from "../../mod.ts";
import { Listener, privateBus } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { Client } from "./action_client.ts";

const Lights = z.object({
  room: z.string().describe("The room"),
  level: z.int().min(0).max(100).default(100),
  colour: z.union([z.string(), z.null()]).optional(),
  mode: z.enum(["day", "night"]).optional(),
  until: z.date().optional(),
});
const State = z.object({ on: z.boolean(), level: z.number() });

/** A schema of a library that gives no JSON Schema. */
const Silent: Schema<{ n: number }> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) => {
      const { n } = value as { n?: unknown };
      return typeof n === "number"
        ? { value: { n } }
        : { issues: [{ message: "expected a number", path: ["n"] }] };
    },
  },
};

async function ready(
  register: (backend: Backend) => void,
): Promise<AsyncDisposable & { client: Client }> {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await TestServer.start());
  const { backend } = stack.use(new Listener(server));
  const client = stack.use(new Client(server));
  register(backend);
  await backend.start();
  return { client, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("Backend gives an action its arguments as the schema makes them, and answers misfits with the issues", async () => {
  await using setting = await ready((backend) => {
    backend.registerAction("lights.on", ({ room, level }) => {
      // Only the schema makes these types.
      return { on: true, level: level.toFixed(0) + room.toUpperCase() };
    }, { schema: Lights });
    backend.registerAction("silent.count", ({ n }) => n + 1, {
      schema: Silent,
    });
    backend.registerAction("lights.state", ({ level }) => {
      return { on: true, level };
    }, { output: State });
    backend.registerAction("lights.many", (names) => names.join(), {
      schema: z.tuple([z.string(), z.string()]),
    });
    backend.registerAction("lights.all", (names) => names.length, {
      schema: z.array(z.number()),
    });
    backend.registerAction("slow.check", ({ n }) => n, {
      schema: z.object({
        n: z.number().refine(async (n) => await Promise.resolve(n > 3), "few"),
      }),
    });
  });
  const { client } = setting;
  const ask = async (
    action: string,
    args: Record<string, unknown> | unknown[],
  ): Promise<unknown> => {
    const { output, errors } = await client.ask(action, {}, { args });
    return errors.length > 0 ? errors : output;
  };
  assert.deepEqual(await ask("lights.on", { room: "hall", else: 1 }), {
    on: true,
    level: "100HALL",
  });
  assert.deepEqual(await ask("lights.on", { level: 200 }), [
    "args.room: Invalid input: expected string, received undefined",
    "args.level: Too big: expected number to be <=100",
  ]);
  assert.deepEqual(await ask("lights.on", ["hall"]), [
    "args: Invalid input: expected object, received array",
  ]);
  assert.equal(await ask("silent.count", { n: 1 }), 2);
  assert.deepEqual(await ask("silent.count", {}), [
    "args.n: expected a number",
  ]);
  assert.deepEqual(await ask("lights.state", { level: 5 }), {
    on: true,
    level: 5,
  });
  assert.deepEqual(await ask("lights.state", {}), [
    "output.level: Invalid input: expected number, received undefined",
  ]);
  assert.equal(await ask("lights.many", ["a", "b"]), "a,b");
  const issues = await ask("lights.all", new Array(30).fill("x")) as string[];
  assert.deepEqual([issues.length, issues.at(-1)], [21, "and 10 more"]);
  assert.equal(await ask("slow.check", { n: 4 }), 4);
  assert.deepEqual(await ask("slow.check", { n: 3 }), ["args.n: few"]);
});

Deno.test("Backend tells what it can do, in the words of Platypush", async () => {
  await using setting = await ready((backend) => {
    backend.registerAction("lights.hue.on", () => ({}), {
      description: "Turns the lights of a room on",
      schema: Lights,
      output: State,
    });
    backend.registerAction("lights.hue.*", () => {});
    backend.registerAction("ping", () => "pong", { schema: Silent });
    backend.registerAction("say.it", () => "", {
      schema: z.tuple([z.string()]),
      output: z.string(),
    });
  });
  const { client } = setting;
  const { output, errors } = await client.ask("inspect.get_all_plugins");
  assert.deepEqual(errors, []);
  // deno-lint-ignore no-explicit-any -- the whole is compared piece by piece
  const plugins = output as any;
  assert.deepEqual(Object.keys(plugins), [
    "inspect",
    "lights.hue",
    "",
    "say",
  ]);
  assert.deepEqual(Object.keys(plugins["lights.hue"].actions), ["*", "on"]);
  const { schema, output: outputSchema, ...on } =
    plugins["lights.hue"].actions.on;
  const argument = (
    name: string,
    type: string | null,
    rest: Record<string, unknown> = {},
  ): Record<string, unknown> => ({
    name,
    required: false,
    doc: null,
    type,
    default: null,
    ...rest,
  });
  assert.deepEqual(on, {
    name: "on",
    doc: "Turns the lights of a room on",
    args: {
      room: argument("room", "str", { required: true, doc: "The room" }),
      level: argument("level", "int", { default: 100 }),
      colour: argument("colour", "str | None"),
      mode: argument("mode", 'Literal["day", "night"]'),
      until: argument("until", null),
    },
    has_varargs: false,
    has_kwargs: false,
    returns: { doc: null, type: "dict" },
  });
  assert.deepEqual(schema.required, ["room"]);
  assert.deepEqual(outputSchema.required, ["on", "level"]);
  // What nothing is known of takes anything.
  const { ping } = plugins[""].actions;
  assert.deepEqual(
    [ping.args, ping.has_varargs, ping.has_kwargs, ping.schema],
    [{}, true, true, undefined],
  );
  assert.equal(plugins.say.actions.it.has_varargs, true);
  assert.equal(plugins.say.actions.it.returns.type, "str");
  const enabled = await client.ask("inspect.get_enabled_plugins");
  assert.deepEqual(enabled.output, ["inspect", "lights.hue", "", "say"]);
});

Deno.test("Backend tells what it can do only to those who have the token, and as an action of this name does", async () => {
  const answer = async (
    token: string | undefined,
    isOwn: boolean,
  ): Promise<unknown> => {
    await using server = await TestServer.start();
    await using listener = new Listener(server, { token: "secret" });
    await using client = new Client(server);
    if (isOwn) {
      listener.backend.registerAction("inspect.get_all_plugins", () => "own");
    } else listener.backend.registerAction("*", () => "any");
    await listener.backend.start();
    const { output, errors } = await client.ask("inspect.get_all_plugins", {}, {
      ...(token !== undefined && { token }),
    });
    return errors[0] ?? output;
  };
  assert.equal(await answer(undefined, false), "Refused: the token is missing");
  assert.equal(await answer("secret", true), "own");
  const plugins = await answer("secret", false) as Record<string, unknown>;
  assert.deepEqual(Object.keys(plugins), ["", "inspect"]);
});

Deno.test("Backend.registerAction refuses a schema that is none", async () => {
  await using bus = privateBus();
  await using backend = new Backend({ bus });
  for (const option of ["schema", "output"]) {
    for (const value of [{}, null, "z.string()", () => true]) {
      assert.throws(
        () => backend.registerAction("a.b", () => {}, { [option]: value }),
        {
          name: "TypeError",
          message:
            `Cannot register the action "a.b": \`${option}\` has to be a schema that speaks Standard Schema`,
        },
      );
    }
  }
  assert.throws(
    () => backend.registerAction("a.b", () => {}, { description: 5 as never }),
    { name: "TypeError", message: /`description` has to be a text/ },
  );
});
