import assert from "node:assert/strict";
import { ConfigError, type RedisArgs } from "../../mod.ts";
import { load } from "./load.ts";

/** What is read from such lines under `redis`. */
async function args(
  lines: string,
  env?: Record<string, string>,
): Promise<RedisArgs | undefined> {
  const indented = lines.replaceAll(/^/gm, "  ");
  return (await load(`redis:\n${indented}\n`, env)).options.redisArgs;
}

Deno.test("an empty file says nothing", async () => {
  for (const text of ["", "\n", "# nothing\n", "---\n", "\ufeff", "redis:\n"]) {
    assert.deepEqual(await load(text), { options: {}, lines: [] });
  }
  assert.deepEqual((await load("\ufeffdevice_id: x\r\n")).options, {
    deviceId: "x",
  });
});

Deno.test("values are read as Python does", async () => {
  const values: [text: string, args: RedisArgs][] = [
    ["password: 12345", { password: "12345" }],
    ["password: '12345'", { password: "12345" }],
    ["password: se#same", { password: "se#same" }],
    ["password: sesame # open", { password: "sesame" }],
    ["password: ~", {}],
    ["password:", {}],
    ["port: '6380'", { port: 6380 }],
    ["port: 0x18ec", { port: 6380 }],
    ["ssl: yes", { ssl: true }],
    ["ssl: Off", { ssl: false }],
    ["ssl: 'true'", { ssl: true }],
    ["socket_timeout: '1.5'", { socket_timeout: 1.5 }],
    ["ssl_cert_reqs: none", { ssl_cert_reqs: "none" }],
    ["ssl_password: |\n  a\n  b", { ssl_password: "a\nb\n" }],
    [
      "sentinels: ['a:1', 'b:2']\nserviceName: m",
      { sentinels: ["a:1", "b:2"], serviceName: "m" },
    ],
    ["url: redis://h", { url: "redis://h" }],
  ];
  for (const [text, expected] of values) {
    assert.deepEqual(await args(text) ?? {}, expected, text);
  }
});

Deno.test("each plain scalar is to us what it is to PyYAML", async (test) => {
  const file = new URL("yaml_scalars.jsonl", import.meta.url);
  const lines = (await Deno.readTextFile(file)).trim().split("\n");
  assert.ok(lines.length > 150);
  for (const line of lines) {
    const { scalar, platypush: [status, type, text] } = JSON.parse(line);
    await test.step(scalar, async () => {
      const reading = args(`password: ${scalar}`);
      if (status === "err") return await assert.rejects(reading, ConfigError);
      if (type === "bool") {
        return await assert.rejects(reading, /has to be a text; put it in/);
      }
      const found = await reading ?? {};
      assert.deepEqual(found, type === "NoneType" ? {} : { password: text });
    });
  }
});

Deno.test("a block that the file ends in the middle of a line ends there, as in PyYAML", async () => {
  const texts: [block: string, text: string][] = [
    ["|\n  se\n  same", "se\nsame"],
    ["|+\n  sesame", "sesame"],
    [">\n  se\n  same", "se same"],
    ["|\r\n  sesame", "sesame"],
    ["|\n  sesame\n", "sesame\n"],
    ["|\n  sesame\n# end", "sesame\n"],
    ["|\n  sesame\n  ", "sesame\n"],
    ["|-\n  sesame", "sesame"],
    ["|+\n  sesame\n  ", "sesame\n"],
    [">+\n  sesame \n\n  ", "sesame \n\n"],
    ["|+\n  sesame\n   ", "sesame\n "],
  ];
  for (const [block, token] of texts) {
    const { options } = await load(`token: ${block}`);
    assert.deepEqual(options, { token }, block);
  }
});

Deno.test("a text that has to be quoted may have a tag instead, as in PyYAML", async () => {
  for (const text of ["=", "<<"]) {
    assert.deepEqual(await args(`password: !!str ${text}`), { password: text });
  }
});

Deno.test("numbers keep every digit where a text is wanted, as Python writes them", async () => {
  const texts: [scalar: string, text: string][] = [
    ["0815", "0815"],
    ["1.10", "1.1"],
    ["100.", "100.0"],
    ["1.0e+20", "1e+20"],
    ["123456789012345.5", "123456789012345.5"],
    ["0.0001", "0.0001"],
    ["0.00001", "1e-05"],
    ["-0b101", "-5"],
    ["017", "15"],
    ["190:20:30.5", "685230.5"],
    ["+.inf", "inf"],
    ["-12345678901234567890123", "-12345678901234567890123"],
    ["'0x1F'", "0x1F"],
    ["!!str 0x1F", "0x1F"],
  ];
  for (const [scalar, text] of texts) {
    assert.deepEqual(await args(`password: ${scalar}`), { password: text });
  }
  const { options } = await load(
    "device_id: 08\nbackend.redis: {queue: [1e3, 5, y], name: n}\n",
  );
  assert.deepEqual(options, {
    deviceId: "08",
    queue: ["1e3", "5", "y"],
    name: "n",
  });
});

Deno.test("a text that Python takes for something else needs quotes", async () => {
  for (const text of ["yes", "2020-01-01", "2020-01-01 10:00:00"]) {
    await assert.rejects(
      args(`password: ${text}`),
      /`redis.password` has to be a text; put it in quotes$/,
    );
    assert.deepEqual(await args(`password: "${text}"`), { password: text });
  }
});

Deno.test("what YAML keeps for mappings needs quotes as a text", async () => {
  for (const text of ["=", "<<"]) {
    await assert.rejects(
      args(`password: ${text}`),
      /:2:13: `=` and `<<` mean something in YAML; as a text they need quotes$/,
    );
    assert.deepEqual(await args(`password: "${text}"`), { password: text });
    assert.deepEqual(await args(`password: ${text}=`), {
      password: `${text}=`,
    });
  }
});

Deno.test("anchors, aliases and merges are resolved", async () => {
  const { options, lines } = await load(`
common: &common {host: a, port: 1, password: &secret sesame}
other: &common {db: 2}
token: *secret
redis:
  port: 4
  <<: [*common, {db: 3, host: b, port: 5}]
later: &secret other
`);
  assert.deepEqual(options, {
    token: "sesame",
    redisArgs: { db: 2, host: "b", port: 4 },
  });
  assert.deepEqual(lines, []);
});

Deno.test("of two with the same name the last one counts, with a warning", async () => {
  const { options, lines } = await load(`
redis: {host: a}
light.hue: 1
light.hue: 2
redis: {port: 1, db: 2, port: 3}
`);
  assert.deepEqual(options, { redisArgs: { db: 2, port: 3 } });
  assert.deepEqual(lines, [
    "warn: /config.yaml:5:1: `redis` is here again; the last one counts.",
    "warn: /config.yaml:5:25: `port` is here again; the last one counts.",
  ]);
});

Deno.test("unknown tags are refused, with the tag and never with the text", async () => {
  const refuses = async (text: string, message: string): Promise<void> => {
    await assert.rejects(load(text), (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.ok(error.message.endsWith(message), error.message);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  };
  const rest = "is not known; a text that starts with `!` needs quotes";
  await refuses(
    "redis:\n  password: !secret hunter2\n",
    `config.yaml:2:21: the tag \`!secret\` ${rest}`,
  );
  await refuses(
    "device_id: !!python/object:os.system x\n",
    `config.yaml:1:38: the tag \`!!python/object:os.system\` ${rest}`,
  );
  await refuses(
    "redis: {password: !hunter2}\n",
    `: this tag ${rest}`,
  );
  const { options, lines } = await load(
    "light.hue: {bridge: !secret x}\ncalendar: !!set {a, b}\ndevice_id: x\n",
  );
  assert.deepEqual(options, { deviceId: "x" });
  assert.deepEqual(lines, [
    "warn: /config.yaml:1:21: this tag is not known, neither here nor to Platypush.",
  ]);
});

Deno.test("a tag that does not fit is refused, and one that fits decides, as in PyYAML", async () => {
  for (
    const text of ["!!int x", "!!int 1e3", "!!bool y", "!!float", "!!map x"]
  ) {
    await assert.rejects(load(`redis:\n  db: ${text}\n`), {
      name: "ConfigError",
      message: /config\.yaml:2:\d+: the tag `!!\w+` does not fit what it is on/,
    });
  }
  await assert.rejects(load("redis: !!seq {db: 1}\n"), ConfigError);
  assert.deepEqual(
    (await load("redis: {password: !!str 0815, socket_timeout: !!float 1e1}\n"))
      .options,
    { redisArgs: { password: "0815", socket_timeout: 10 } },
  );
  const { lines } = await load(
    "redis: {password: !!null x}\nlights: !!int x\n",
  );
  assert.deepEqual(lines, []);
});

Deno.test("what Platypush allows in a section of a backend is no typo", async () => {
  const { options, lines } = await load(
    "backend.redis: {queue: q, logging: DEBUG, enabled: yes, poll_seconds: 1}\n",
  );
  assert.deepEqual(options, { queue: "q", pollSeconds: 1 });
  assert.deepEqual(lines, []);
  const off = await load("backend.redis: {queue: q, enabled: false}\n");
  assert.deepEqual(off.options, {});
});

Deno.test("names of JavaScript's own are names like others", async () => {
  const { options, lines } = await load(`
__proto__: {device_id: x}
constructor: {a: b}
redis: {__proto__: {host: x}, toString: x, hasOwnProperty: x, host: a}
`);
  assert.deepEqual(options, { redisArgs: { host: "a" } });
  assert.equal(Object.getPrototypeOf(options.redisArgs), Object.prototype);
  assert.equal(lines.length, 3, lines.join("\n"));
  await assert.rejects(
    args("password: ${toString}"),
    /variable toString is not set/,
  );
});

Deno.test("what grows without end is refused", async () => {
  const layers = Array.from(
    { length: 12 },
    (_, index) =>
      `  a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]\n`,
  );
  const bomb = `redis:\n  a0: &a0 x\n${layers.join("")}`;
  const endless: Record<string, string> = {
    "a bomb": bomb,
    "a bomb of merges": `redis:\n  a0: &a0 {x: y}\n` +
      layers.join("").replaceAll("[", "{<<: [").replaceAll("]", "]}"),
    "an alias in itself": "redis: &a {host: *a}\n",
    "a merge of itself": "redis: &a {<<: *a}\n",
    "a wide list": `redis: [${"x,".repeat(20_000)}]\n`,
    "a deep list": `redis: ${"[".repeat(200)}${"]".repeat(200)}\n`,
    "a deeper list": "[".repeat(100_000),
  };
  for (const [name, text] of Object.entries(endless)) {
    await assert.rejects(
      load(text),
      /config\.yaml:\d+:\d+: (this is too much: 10000 entries|it is nested too deeply|a character is missing|this is no YAML)/,
      name,
    );
  }
  // Where it is not ours, it is not even looked at.
  const { options } = await load(
    bomb.replace("redis", "other") + "device_id: x\n",
  );
  assert.deepEqual(options, { deviceId: "x" });
});

Deno.test("${…} stands for an environment variable", async () => {
  const env = { PASSWORD: "sesame", PORT: "6380", EMPTY: "" };
  const cases: [text: string, args: RedisArgs][] = [
    ["password: ${PASSWORD}", { password: "sesame" }],
    ["password: a${PASSWORD}b${PORT}", { password: "asesameb6380" }],
    ["port: ${PORT}", { port: 6380 }],
    ["password: ${PASSWORD:-x}", { password: "sesame" }],
    ["port: ${UNSET:-7}", { port: 7 }],
    ["password: '${EMPTY:-x}'", { password: "x" }],
    ["password: '${UNSET:-}'\nhost: h", { host: "h" }],
    ["password: $${PASSWORD}", { password: "${PASSWORD}" }],
    ["password: $PASSWORD", { password: "$PASSWORD" }],
    ["password: a${b", { password: "a${b" }],
    ["cluster: ['${PASSWORD}:1']", { cluster: ["sesame:1"] }],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(await args(text, env), expected, text);
  }
  const { options } = await load(
    "environment: {ID: own, N: 5}\ndevice_id: ${ID}${N}${X}\n",
    { ID: "other", X: "x" },
  );
  assert.deepEqual(options, { deviceId: "own5x" });
});

Deno.test("a default with a brace, as of another variable, is an error", async () => {
  for (const value of ["${UNSET:-${PORT}}", "a${UNSET:-{}}", "${PORT:-${X}}"]) {
    await assert.rejects(
      args(`password: '${value}'`, { PORT: "6380" }),
      /the default of \$\{(UNSET|PORT)\} has a brace in it, expected a text without/,
    );
  }
  assert.deepEqual(await args("password: '$${UNSET:-{}}'"), {
    password: "${UNSET:-{}}",
  });
});

Deno.test("a value from a variable is not shown in an error", async () => {
  await assert.rejects(
    args("port: ${PORT}", { PORT: "hunter2" }),
    (error) => !Deno.inspect(error).includes("hunter2"),
  );
});
