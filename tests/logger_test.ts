import assert from "node:assert/strict";
import { Bus, Event } from "../mod.ts";
import { LineLogger } from "./line_logger.ts";

/** Runs a program that logs, and gives what it says on stderr. */
async function stderrOf(program: string): Promise<string[]> {
  const logger = new URL("../src/logger.ts", import.meta.url);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { createLogger } from ${JSON.stringify(logger.href)};
       import { configureSync } from "@logtape/logtape";
       const QUIET = { category: ["logtape", "meta"], lowestLevel: "error" };
       const logger = createLogger("mine");
       ${program}`,
    ],
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  assert.equal(stdout.length, 0);
  return new TextDecoder().decode(stderr).trimEnd().split("\n");
}

Deno.test("createLogger() shows warnings and errors on stderr until LogTape is configured", async () => {
  const lines = await stderrOf(`
    logger.debug("no");
    logger.info("no");
    logger.warn("Cannot connect {to} it.");
    logger.error("It has failed.");
    logger.error(new TypeError("no bulb"));
    configureSync({ sinks: {}, loggers: [QUIET] });
    logger.error("This is for LogTape.");
  `);
  assert.deepEqual(lines, [
    "platypush-redis: warning: Cannot connect {to} it.",
    "platypush-redis: error: It has failed.",
    "platypush-redis: error: TypeError: no bulb",
  ]);
});

Deno.test("createLogger() logs to LogTape also where the application has another copy of it", async () => {
  const lines = await stderrOf(`
    const { createRequire } = await import("node:module");
    const { fileURLToPath } = await import("node:url");
    const path = fileURLToPath(import.meta.resolve("@logtape/logtape"));
    const copy = createRequire(path)(path.replace(/\\.js$/, ".cjs"));
    copy.configureSync({
      sinks: { stderr: ({ level, message }) => console.error(level, ...message) },
      loggers: [QUIET, { category: ["platypush", "redis"], sinks: ["stderr"] }],
    });
    for (const level of ["debug", "info", "warn", "error"]) logger[level]("Hm.");
    copy.resetSync();
    logger.error("It has failed.");
  `);
  assert.deepEqual(lines, [
    "debug Hm.",
    "info Hm.",
    "warning Hm.",
    "error Hm.",
    "platypush-redis: error: It has failed.",
  ]);
});

Deno.test("createLogger() logs to an old LogTape as well, which does not say whether it is configured", async () => {
  const lines = await stderrOf(`
    configureSync({
      sinks: { stderr: ({ level, message }) => console.error(level, ...message) },
      loggers: [QUIET, { category: ["platypush", "redis"], sinks: ["stderr"] }],
    });
    delete globalThis[Symbol.for("logtape.inspectionState")];
    logger.info("Hm.");
    logger.warn("Hm.");
  `);
  assert.deepEqual(lines, [
    "info Hm.",
    "warning Hm.",
    "platypush-redis: warning: Hm.",
  ]);
});

Deno.test("createLogger() shows a line that comes again only after a while", async () => {
  const lines = await stderrOf(`
    let now = 0;
    performance.now = () => now * 1000;
    for (; now < 40; now++) logger.warn("Trying again.");
  `);
  const line = "platypush-redis: warning: Trying again.";
  assert.deepEqual(lines, [
    line,
    `${line} (9 more times meanwhile)`,
    `${line} (19 more times meanwhile)`,
  ]);
});

Deno.test("createLogger() shows control characters as escapes, on stderr and in records", async () => {
  const text = JSON.stringify("\x1b[31m\r\n\x9b\u2028\u202e\u061c");
  const lines = await stderrOf(`
    logger.warn(${text});
    configureSync({
      sinks: { stderr: ({ message }) => console.error(message.join("")) },
      loggers: [QUIET, { category: "platypush", sinks: ["stderr"] }],
    });
    logger.warn(${text});
  `);
  const shown = "\\u001b[31m\\u000d\\u000a\\u009b\\u2028\\u202e\\u061c";
  assert.equal(lines[0], `platypush-redis: warning: ${shown}`);
  assert.ok(lines.includes(shown), lines.join("\n"));
});

Deno.test("A logger that somebody gives gets what comes from outside as escapes, too", async () => {
  const logger = new LineLogger();
  await using bus = new Bus({ name: "test/quoted", deviceId: "hall", logger });
  bus.registerHandler(Event, () => {
    throw new TypeError("no\x1b[2J\nbulb\x9b");
  });
  const id = "evil\x1b]0;title\x07\r\nfaked line";
  const receipt = await bus.post({ type: "event", id, args: { type: "a" } });
  await receipt.handled;
  const [line, ...others] = logger.lines;
  assert.doesNotMatch([line, ...others].join(""), /\p{Cc}/u);
  assert.match(
    line!,
    /A handler in "main" .* TypeError: no\\u001b\[2J\\u000abulb.*, at file:.*logger_test\.ts:\d+/,
  );
});
