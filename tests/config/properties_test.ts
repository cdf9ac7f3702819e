import fc from "fast-check";
import assert from "node:assert/strict";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../../mod.ts";
import { Folder } from "./folder.ts";

/** Not what stands for something else, nor what is written here without the quotes that PyYAML wants. */
const isText = (text: string): boolean =>
  !text.includes("${") && !["", "=", "<<"].includes(text.trim());

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter(isText);
const seconds = fc.double({ min: 0, max: 1e6, noNaN: true });
const count = fc.integer({ min: 1, max: 1e9 });

const address = fc.tuple(
  fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/),
  fc.integer({ min: 1, max: 65535 }),
).map(([host, port]) => `${host}:${port}`);

const redisArgs = fc.record({
  // One with a zone is refused.
  host: text.filter((name) => !name.includes("%")),
  port: fc.integer({ min: 1, max: 65535 }),
  db: fc.constant(0),
  username: text,
  password: text,
  unix_socket_path: text,
  ssl: fc.boolean(),
  ssl_password: text,
  ssl_cert_reqs: fc.constantFrom("none", "optional", "required"),
  socket_timeout: seconds,
  client_name: fc.stringMatching(/^[!-~]{1,9}$/).filter(isText),
  protocol: fc.constantFrom(2, 3),
  cluster: fc.array(address, { minLength: 1, maxLength: 3 }),
}, { requiredKeys: ["host"], noNullPrototype: true });

// One with a blank at an end is refused.
const queue = text.filter((name) => name === name.trim());

const config = fc.record({
  device_id: text,
  token: text,
  "backend.redis": fc.record({
    queue: fc.oneof(
      queue,
      fc.array(queue, { minLength: 1, maxLength: 3 }),
    ),
    poll_seconds: seconds,
    daemon: fc.boolean(),
    delivery: fc.constantFrom("at-least-once", "at-most-once"),
    batch_size: count,
    max_deliveries: count,
    redis_args: redisArgs,
  }, { requiredKeys: ["redis_args"], noNullPrototype: true }),
}, { requiredKeys: ["backend.redis"], noNullPrototype: true });

const NAMES: Record<string, string> = {
  device_id: "deviceId",
  poll_seconds: "pollSeconds",
  batch_size: "batchSize",
  max_deliveries: "maxDeliveries",
  redis_args: "redisArgs",
};

function renamed(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [NAMES[name] ?? name, value]),
  );
}

Deno.test("loadConfig reads what YAML writes, in any style", async () => {
  await using folder = await Folder.make();
  const { logger } = folder;
  await fc.assert(
    fc.asyncProperty(
      config,
      fc.record({
        collectionStyle: fc.constantFrom("block" as const, "flow" as const),
        defaultStringType: fc.constantFrom(
          "PLAIN" as const,
          "QUOTE_DOUBLE" as const,
          "QUOTE_SINGLE" as const,
          "BLOCK_LITERAL" as const,
        ),
        // Folding lines would cut surrogate pairs in two.
        lineWidth: fc.constant(0),
      }),
      async (config, style) => {
        const yaml = stringify(config, { version: "1.1", ...style });
        await folder.write("config.yaml", yaml);
        const { "backend.redis": backend, ...top } = config;
        assert.deepEqual(
          await loadConfig(folder.file(), { env: {}, logger }),
          { ...renamed(top), ...renamed(backend) },
        );
      },
    ),
    { numRuns: 300 },
  );
  assert.deepEqual(folder.lines, []);
});

const SECRET = "hunter2";
const FILES = [
  `device_id: livingroom
token: "${SECRET}"
backend.redis:
  queue: [a, b]
  redis_args: {host: h, port: 6379, password: ${SECRET}, ssl: true}
`,
  `redis: &redis
  host: h
  url: redis://u:${SECRET}@h:7000/3
  password: '${SECRET}'
backend.redis:
  redis_args:
    <<: *redis
    ssl_password: |
      ${SECRET}
    username: u
`,
];

Deno.test("a slip in a file shows no password in errors and warnings", async () => {
  await using folder = await Folder.make();
  const { logger } = folder;
  const errors = new Set<string>();
  const slip = fc.record({
    file: fc.constantFrom(...FILES),
    at: fc.nat(),
    removed: fc.nat(2),
    added: fc.oneof(
      fc.constantFrom(
        "",
        " ",
        "\n",
        ":",
        ": ",
        ",",
        "- ",
        "\t",
        "? ",
        "&",
        "*",
      ),
      fc.constantFrom(
        "!",
        "!!",
        "|",
        ">",
        "%",
        "@",
        "'",
        '"',
        "[",
      ),
      fc.constantFrom("]", "{", "}", "#", "---", "\\\\", "\\\\u", "<<: ", "\0"),
      fc.string({ maxLength: 3 }),
    ),
  });
  await fc.assert(
    fc.asyncProperty(slip, async ({ file, at, removed, added }) => {
      const start = at % file.length;
      const end = Math.min(start + removed, file.length);
      const isWhole = [...file.matchAll(/hunter2/g)].every(({ index }) =>
        end <= index || start >= index + SECRET.length
      );
      fc.pre(isWhole);
      await folder.write(
        "config.yaml",
        file.slice(0, start) + added + file.slice(end),
      );
      try {
        await loadConfig(folder.file(), { env: {}, logger });
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.ok(!Deno.inspect(error).includes(SECRET), error.message);
        errors.add(error.message.replace(/^.*\d: /, ""));
      }
      const lines = folder.lines.filter((line) => line.includes(SECRET));
      assert.deepEqual(lines, []);
    }),
    { numRuns: 2000 },
  );
  assert.ok(errors.size > 10, [...errors].join("\n"));
});
