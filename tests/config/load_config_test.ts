import assert from "node:assert/strict";
import { loadConfig, RedisBackend } from "../../mod.ts";
import { BACKEND_OPTIONS } from "../../src/backend/backend_options.ts";
import type { Row } from "../../src/options.ts";
import { Folder, refuses as refusesFiles } from "./folder.ts";
import { load } from "./load.ts";

/** Asserts that such a text is refused with such a message. */
const refuses = (text: string, message: string): Promise<void> =>
  refusesFiles({ "config.yaml": text }, message);

Deno.test("loadConfig reads what is ours, and nothing else", async () => {
  const { options, lines } = await load(`
device_id: livingroom
token: sesame
light.hue: {bridge: 192.0.2.1, token: !unknown x}
backend.http:
backend.redis:
  queue: [a, b]
  disabled: no
  poll_seconds: 0.5
  delivery: at-most-once
  batch_size: 10
  redis_args:
    host: redis.example
    port: 6380
    db: 2
    password: secret
    ssl: yes
    socket_timeout: 1.5
redis: {host: other.example, disabled: false}
`);
  assert.deepEqual(options, {
    deviceId: "livingroom",
    token: "sesame",
    queue: ["a", "b"],
    pollSeconds: 0.5,
    delivery: "at-most-once",
    batchSize: 10,
    redisArgs: {
      host: "redis.example",
      port: 6380,
      db: 2,
      password: "secret",
      ssl: true,
      socket_timeout: 1.5,
    },
  });
  assert.deepEqual(lines, [
    "warn: /config.yaml:4:39: this tag is not known, neither here nor to Platypush.",
  ]);
});

Deno.test("loadConfig warns of unknown names in our sections only", async () => {
  const { options, lines } = await load(`
divice_id: typo
Redis: {host: x}
rss: {}
mqtt: {pasword: x}
backend.tcp: {pasword: x}
backend: {redis: {queue: q}}
backend.redis: {que: q, poolSeconds: 1, redis_args: {pasword: x, "password:hunter2": null}}
redis: {hots: x, hunter2, hunter2 and more: x}
`);
  assert.deepEqual(options, {});
  const section = "`backend.redis`";
  const args = "`backend.redis.redis_args`";
  assert.deepEqual(lines, [
    "warn: /config.yaml:2:1: `divice_id` is passed over; did you mean `device_id`?",
    "warn: /config.yaml:3:1: `Redis` is passed over; did you mean `redis`?",
    "warn: /config.yaml:7:1: `redis` under `backend` is passed over, as by Platypush; write `backend.redis`, in one word",
    `warn: /config.yaml:8:17: \`que\` is not known in ${section}, and passed over; the nearest one is \`queue\``,
    `warn: /config.yaml:8:25: \`poolSeconds\` is not known in ${section}, and passed over; the nearest one is \`poll_seconds\``,
    `warn: /config.yaml:8:54: \`pasword\` is not known in ${args}, and passed over; the nearest one is \`password\``,
    `warn: /config.yaml:8:66: what is here is not known in ${args}, and passed over; the nearest one is \`password_file\``,
    "warn: /config.yaml:9:9: `hots` is not known in `redis`, and passed over; the nearest one is `host`",
    "warn: /config.yaml:9:18: what is here is not known in `redis`, and passed over; the nearest one is `cluster`",
    "warn: /config.yaml:9:27: what is here is not known in `redis`, and passed over; the nearest one is `username`",
  ]);
});

Deno.test("loadConfig says where a name belongs that stands elsewhere", async () => {
  const { options, lines } = await load(`
queue: q
redis_args: {host: x}
backend.redis: {device_id: a, host: x, redis_args: {queue: q, db: 1, max_agee: 1}}
`);
  assert.deepEqual(options, { redisArgs: { db: 1 } });
  const section = "`backend.redis`";
  assert.deepEqual(lines, [
    `warn: /config.yaml:2:1: \`queue\` is passed over; it belongs in ${section}`,
    `warn: /config.yaml:3:1: \`redis_args\` is passed over; it belongs in ${section}`,
    `warn: /config.yaml:4:17: \`device_id\` is not known in ${section}, and passed over; it belongs at the top of the file`,
    `warn: /config.yaml:4:31: \`host\` is not known in ${section}, and passed over; it belongs in \`redis_args\``,
    `warn: /config.yaml:4:53: \`queue\` is not known in \`backend.redis.redis_args\`, and passed over; it belongs in ${section}`,
    `warn: /config.yaml:4:70: \`max_agee\` is not known in \`backend.redis.redis_args\`, and passed over; the nearest one is \`max_age\`, which belongs in ${section}`,
  ]);
});

Deno.test("loadConfig refuses a token where it would protect nothing", async () => {
  for (
    const text of [
      "backend.redis: {token: t}",
      "redis: {token: t}",
      "backend.redis: {redis_args: {Token: t}}",
      "tokens: t",
      "TOKEN: t",
      "toke: t",
    ]
  ) {
    await assert.rejects(load(`device_id: a\n${text}\n`), {
      name: "ConfigError",
      message:
        /config\.yaml:2:\d+: `\w+`( in `[\w.]+`)? would protect nothing; write `token`, at the top of the file$/,
    }, text);
  }
});

Deno.test("loadConfig refuses what would leave out TLS", async () => {
  for (
    const section of [
      "backend.redis: {redis_args: {host: h, tls: true}}",
      "backend.redis: {redis_args: {SSL: true}}",
      "redis: {sssl: true}",
      "backend.redis: {ssl: true}",
    ]
  ) {
    await assert.rejects(load(`device_id: a\n${section}\n`), {
      name: "ConfigError",
      message:
        /config\.yaml:2:\d+: `\w+` in `[\w.]+` would protect nothing; write `ssl`(, in `redis_args`)?$/,
    }, section);
  }
  await assert.rejects(load('redis: {ssl: "${TLS:-}"}\n'), {
    name: "ConfigError",
    message:
      /config\.yaml:1:\d+: `ssl` is empty, expected true or false; leave it out to do without$/,
  });
});

Deno.test("the file in the documentation is right, and has every option", async () => {
  const docs = new URL("../../docs/configuration.md", import.meta.url);
  const [, yaml] = /```yaml\n([^`]*)```/.exec(await Deno.readTextFile(docs))!;
  await using folder = await Folder.make({
    "config.yaml": yaml!,
    "secrets/redis.yaml": "sesame\n",
    "lights.yaml": "",
    "music.yaml": "",
  });
  const { logger } = folder;
  const env = { PLATYPUSH_TOKEN: "s3cret" };
  const options = await loadConfig(folder.file(), { env, logger });
  assert.deepEqual(folder.lines, []);
  assert.equal(options.token, "s3cret");
  assert.equal(options.redisArgs?.password, "sesame");
  assert.ok(options.peers?.kitchen);
  new RedisBackend(options);
  const missing = Object.entries<Row>(BACKEND_OPTIONS)
    .filter(([name, { isCodeOnly }]) => !isCodeOnly && !(name in options));
  assert.deepEqual(missing.map(([name]) => name), [
    "pollSeconds",
    "name",
    "daemon",
  ]);
});

const WRONG: Record<string, [text: string, message: string]> = {
  "a missing quote": [
    'redis:\n  password: "hunter2\n  host: h\n',
    "/config.yaml:4:1: a character is missing before this, such as a closing quote; a quoted text that goes on in the next line has to be indented there",
  ],
  "a quoted text that goes on at the beginning of a line": [
    'token: "hunter2\nhunter3"\n',
    "/config.yaml:1:16: a character is missing before this, such as a closing quote; a quoted text that goes on in the next line has to be indented there",
  ],
  "a tab": [
    "redis:\n\tpassword: hunter2\n",
    "/config.yaml:2:1: it is indented by a tab, which has to be blanks",
  ],
  "wrong indentation": [
    "redis: {password: hunter2\nhost: h\n",
    "/config.yaml:2:1: the indentation is wrong",
  ],
  "an unknown escape": [
    'redis: {password: "\\uhunter2"}\n',
    "/config.yaml:1:20: this escape is not known; in double quotes a backslash is written twice",
  ],
  "an asterisk": [
    "redis:\n  password: *hunter2\n",
    "/config.yaml:2:13: this alias has no anchor before it; a text that starts with `*` needs quotes",
  ],
  "a wrong first letter": [
    "redis:\n  password: @hunter2\n",
    "/config.yaml:2:13: a text cannot start with this character; it needs quotes",
  ],
  "a second document": [
    "device_id: a\n---\ndevice_id: b\n",
    "/config.yaml:2:1: a file can only have one document, without `---` inside",
  ],
  "a list": [
    "- redis\n",
    "/config.yaml:1:1: a configuration has to be a mapping, with lines like `name: value`",
  ],
  "a text for a section": [
    "redis: hunter2\n",
    "/config.yaml:1:1: `redis` has to be a mapping, with lines like `name: value`",
  ],
  "a list for arguments": [
    "backend.redis:\n  redis_args: [hunter2]\n",
    "/config.yaml:2:3: `backend.redis.redis_args` has to be a mapping, with lines like `name: value`",
  ],
  "a wrong port": [
    "redis: {port: hunter2}\n",
    "/config.yaml:1:9: `redis.port` has to be a number from 1 to 65535",
  ],
  "a mapping for a text": [
    "device_id: {hunter2: x}\n",
    "/config.yaml:1:1: `device_id` has to be a text",
  ],
  "a date for a text": [
    "token: 2020-01-01\n",
    "/config.yaml:1:1: `token` has to be a text that is not empty, or in code a function; put it in quotes",
  ],
  "an empty queue": [
    "backend.redis: {queue: []}\n",
    "/config.yaml:1:17: `backend.redis.queue` has to be a name or a list of names, at least one, none empty or with a blank at an end",
  ],
  "an endless pause": [
    "backend.redis:\n  retry_pause: .inf\n",
    "/config.yaml:2:3: `backend.redis.retry_pause` has to be a finite number of seconds from 0 on",
  ],
  "a place that peers do not have": [
    "backend.redis:\n  post_events: {interface: lo}\n",
    "/config.yaml:2:3: there is no option `interface`; the nearest one is `interfaces`",
  ],
  "sentinels without a service": [
    'redis:\n  host: h\n  sentinels: ["a:1"]\n',
    "/config.yaml:3:3: `sentinels` and `serviceName` belong together; set both or neither",
  ],
  "a blank behind a queue": [
    'backend.redis: {queue: "lights "}\n',
    "/config.yaml:1:17: `backend.redis.queue` has to be a name or a list of names, at least one, none empty or with a blank at an end",
  ],
  "a wrong choice": [
    "backend.redis: {delivery: hunter2}\n",
    '/config.yaml:1:17: `backend.redis.delivery` has to be "at-least-once" or "at-most-once"',
  ],
  "a wrong URL": [
    "redis:\n  url: http://hunter2@h\n",
    "/config.yaml:2:3: `redis.url` has to be redis://[user:password@]host[:port][/db], rediss://... for TLS, or unix://[user:password@]/path[?db=0]; other signs in a password are encoded, as %40 for @",
  ],
  "a merged text": [
    "redis:\n  <<: hunter2\n",
    "/config.yaml:2:3: only mappings can be merged with `<<`",
  ],
  "an unset variable": [
    "redis: {password: '${HUNTER}'}\n",
    "/config.yaml:1:9: the environment variable HUNTER is not set, or may not be read without --allow-env=HUNTER; " +
    "set it, or write ${HUNTER:-default}. Where the text itself is meant, a second $ in front says so",
  ],
};

for (const [name, [text, message]] of Object.entries(WRONG)) {
  Deno.test(`loadConfig refuses ${name}, and says where`, async () => {
    await refuses(text, message);
  });
}
