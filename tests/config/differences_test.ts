import assert from "node:assert/strict";
import { differencesIn } from "../../src/config/differences.ts";
import { type Ended, runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { Folder } from "./folder.ts";

const SECRETS = ["s3cret", "hunter2", "opensesame", "4711"];

const CONFIG = `device_id: hall
token: s3cret
workdir: /var/lib/platypush
backend.redis:
  queue: platypush/backend/redis
  poll_seconds: 5
  logging: INFO
  enabled: true
  qeue: s3cret
  redis_args:
    host: 127.0.0.1
    password: hunter2
    retry_on_timeout: true
    ssl_ciphers: s3cret
backend.http:
  port: 8008
light.hue:
  bridge: 192.0.2.1
mail.imap: !secret hunter2
procedure.on:
  - action: light.hue.on
cron.Night:
  cron_expression: 0 0 * * *
event.hook.Same:
  if:
    type: platypush.message.event.zigbee.mqtt.ZigbeeMqttDevicePropertySetEvent
    device: hall
    level: {$gt: 4711}
  then:
    - action: light.hue.on
event.hook.Unknown:
  if:
    type: platypush.message.event.no.SuchEvent
event.hook.Own:
  if: {type: my.Event}
event.hook.Empty:
  then: []
event.hook.Text:
  if: platypush.message.event.Event
event.hook.Number:
  if: {type: 4711}
event.hook.Operator:
  if:
    type: my.Event
    code: {$like: opensesame}
    count: {$gt: opensesame}
event.hook.Regex:
  if:
    type: my.Event
    text: {$regex: "(opensesame"}
event.hook.Defect:
  if:
    type: my.Event
    room: opensesame
    data:
      t: {$gt: 4711}
event.hook.Fine:
  if:
    type: my.Event
    data:
      t: {$gt: 4711}
    room: opensesame
`;

Deno.test("What a Platypush's configuration says differently here is told with its line, and without its values", async () => {
  await using folder = await Folder.make({ "config.yaml": CONFIG });
  const path = folder.file();
  const differences = await differencesIn(path);
  const told = differences.map(({ place, message }) =>
    `${place.slice(path.length + 1).split(":")[0]} ${message}`
  );
  assert.deepEqual(told, [
    "6 `backend.redis.poll_seconds` counts for `loop()` alone: Redis is not polled.",
    "7 `backend.redis.logging` has no effect.",
    "13 `backend.redis.redis_args.retry_on_timeout` is taken, and has no effect here.",
    "14 `backend.redis.redis_args.ssl_ciphers` is taken, and has no effect here.",
    "2 A request without the right `token` is answered with an error; Platypush drops it.",
    "9 `qeue` is not known in `backend.redis`, and passed over.",
    "24 Hooks are not run from the file: `event.hook.Same` (line 24), `event.hook.Unknown` (line 31), `event.hook.Own` (line 34), `event.hook.Empty` (line 36), `event.hook.Text` (line 38), `event.hook.Number` (line 40), `event.hook.Operator` (line 42), `event.hook.Regex` (line 47), `event.hook.Defect` (line 51), `event.hook.Fine` (line 57).",
    "33 The class in the hook `event.hook.Unknown` is not known here: only events of this very name match, and none of classes that are derived from it.",
    "36 The hook `event.hook.Empty` has no `if`.",
    "39 The `if` of the hook `event.hook.Text` is no mapping.",
    "41 The `type` in the hook `event.hook.Number` is no text.",
    "45 What the hook `event.hook.Operator` says of `code` never matches, here and in Platypush: it has an unknown operator, or a value of the wrong type.",
    "46 What the hook `event.hook.Operator` says of `count` never matches, here and in Platypush: it has an unknown operator, or a value of the wrong type.",
    "50 A regular expression for `text` in the hook `event.hook.Regex` cannot be used here.",
    "55 The hook `event.hook.Defect` may run less often here: after a text, Platypush does not look at `data`, which is a defect.",
    "15 Other backends are not run here: `backend.http` (line 15).",
    "20 Procedures and cronjobs are not run here: `procedure.on` (line 20), `cron.Night` (line 22).",
    "3 Settings of Platypush's own have no effect here: `workdir` (line 3).",
    "17 Plugins are not run here: `light.hue` (line 17), `mail.imap` (line 19).",
  ]);
  const all = JSON.stringify(differences);
  for (const secret of SECRETS) assert.ok(!all.includes(secret), secret);
});

Deno.test("What an included file says differently is told with the name of the file", async () => {
  await using folder = await Folder.make({
    "config.yaml": "include: [more.yaml]\nmpd:\n  host: hall\n",
    "more.yaml": "\nlight.hue:\n  bridge: hall\nbackend.redis:\n  bus: x\n",
  });
  const told = (await differencesIn(folder.file())).map(
    ({ place, message }) => `${place.replace(folder.path, "")} ${message}`,
  );
  assert.deepEqual(told, [
    "/more.yaml:5:3 `backend.redis.bus` has no effect in a file.",
    "/more.yaml:2:1 Plugins are not run here: `light.hue` (line 2), `mpd` (config.yaml, line 2).",
  ]);
});

Deno.test("doctor tells what is different here in the configuration, and that nothing is", async () => {
  await using server = await TestServer.start();
  const run = (path: string): ReturnType<typeof runProgram> =>
    runProgram([
      ...["cli.ts", "doctor", "--json", "--no-multicast", "--url", server.url],
      ...["--config", path],
    ]);
  type Line = Record<"check" | "status" | "message" | "advice", string>;
  const lines = ({ stdout }: { stdout: string }): Line[] =>
    stdout.trim().split("\n").map((line) => JSON.parse(line))
      .filter(({ check }) => check === "config");
  await using folder = await Folder.make({
    "hub.yaml": CONFIG,
    "plain.yaml": "device_id: hall\n",
  });
  const path = folder.file("hub.yaml");
  const [hub, plain, none] = await Promise.all(
    [path, folder.file("plain.yaml"), folder.file("none.yaml")].map(run),
  ) as [Ended, Ended, Ended];
  assert.equal(hub.code, 0, hub.stderr);
  assert.equal(lines(hub).length, 19);
  assert.ok(lines(hub).every(({ status }) => status === "warning"));
  assert.ok(lines(hub)[0]!.message.startsWith(`${path}:6:3: \`backend`));
  const all = hub.stdout + hub.stderr;
  for (const secret of SECRETS) assert.ok(!all.includes(secret), secret);
  const [line] = lines(plain);
  assert.equal(line!.status, "ok");
  assert.match(line!.message, /plain.yaml means the same here as in Plat/);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /none.yaml does not exist/);
});
