import assert from "node:assert/strict";
import {
  makeServiceInfo,
  type ServiceInfo,
} from "../../src/zeroconf/service_info.ts";
import { encodeTxt } from "../../src/zeroconf/txt.ts";
import { TYPE } from "./helpers.ts";

function info(
  properties: Record<string, string>,
  port = 6379,
  addresses = ["fd00::1", "192.0.2.10"],
): ServiceInfo {
  return makeServiceInfo({
    type: `${TYPE}.`,
    name: `livingroom.${TYPE}.`,
    port,
    addresses,
    server: "livingroom.local.",
    priority: 0,
    weight: 0,
    txt: encodeTxt(properties),
  });
}

function redisUrl(...parts: Parameters<typeof info>): string | undefined {
  return info(...parts).redisUrl;
}

Deno.test("A service has the queue that it names, if it names any", () => {
  assert.equal(info({ queue: "lights" }).queue, "lights");
  for (const properties of [{}, { queue: "" }]) {
    assert.equal(info(properties).queue, undefined);
  }
});

Deno.test("redisUrl is where the service says that its Redis is", () => {
  assert.equal(redisUrl({}), "redis://192.0.2.10:6379");
  assert.equal(redisUrl({ host: "fd00::2" }), "redis://[fd00::2]:6379");
  assert.equal(redisUrl({}, 7, ["fd00::1"]), "redis://[fd00::1]:7");
  assert.equal(
    redisUrl({ host: "redis.lan", ssl: "true", db: "3" }),
    "rediss://redis.lan:6379/3",
  );
  assert.equal(redisUrl({ db: "0", ssl: "false" }), "redis://192.0.2.10:6379");
});

Deno.test("Case does not count in the keys that a service is read by", () => {
  const service = info({
    Device_ID: "lamp",
    QUEUE: "lights",
    Host: "redis.lan",
    SSL: "true",
    Db: "3",
  });
  assert.equal(service.deviceId, "lamp");
  assert.equal(service.queue, "lights");
  assert.equal(service.redisUrl, "rediss://redis.lan:6379/3");
});

Deno.test("redisUrl is missing where the network reaches no Redis", () => {
  assert.equal(redisUrl({}, 0), undefined);
  assert.equal(redisUrl({}, 6379, []), undefined);
  assert.equal(redisUrl({}, 6379, ["fe80::1", "febf::1"]), undefined);
  assert.equal(redisUrl({}, 7, ["fe80::1", "fd00::1"]), "redis://[fd00::1]:7");
});

Deno.test("redisUrl has nothing in it that a stranger made up", () => {
  for (
    const host of ["a@b", "a/0?ssl_keyfile=x#", "a:b@c", "a b", "a?x=1", "ü"]
  ) {
    assert.equal(redisUrl({ host }), undefined, host);
  }
  assert.equal(redisUrl({ db: "0?username=x" }), undefined);
});
