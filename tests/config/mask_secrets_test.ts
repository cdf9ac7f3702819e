import fc from "fast-check";
import assert from "node:assert/strict";
import { Bus, maskSecrets } from "../../mod.ts";

Deno.test("maskSecrets hides passwords and tokens, and nothing else", () => {
  assert.deepEqual(
    maskSecrets({
      deviceId: "livingroom",
      queue: ["a", "b"],
      token: "sesame",
      redisArgs: {
        host: "h",
        port: 6379,
        username: "u",
        password: "p",
        ssl: true,
        ssl_keyfile: "/etc/key.pem",
        ssl_password: "p",
        sentinels: ["a:1"],
        serviceName: "m",
        sentinelPassword: "p",
      },
    }),
    {
      deviceId: "livingroom",
      queue: ["a", "b"],
      token: "***",
      redisArgs: {
        host: "h",
        port: 6379,
        username: "u",
        password: "***",
        ssl: true,
        ssl_keyfile: "/etc/key.pem",
        ssl_password: "***",
        sentinels: ["a:1"],
        serviceName: "m",
        sentinelPassword: "***",
      },
    },
  );
  assert.deepEqual(maskSecrets({ password: null }), { password: null });
  assert.deepEqual(maskSecrets({ password: "" }), { password: "" });
  assert.deepEqual(maskSecrets({ redis_args: { password: "p" } }), {
    redis_args: { password: "***" },
  });
});

Deno.test("maskSecrets names the kind of what cannot be shown", async () => {
  await using bus = new Bus({ name: crypto.randomUUID() });
  const token = (): boolean => true;
  const onStop = (): void => {};
  const masked: Record<string, unknown> = maskSecrets({ bus, token, onStop });
  assert.deepEqual(masked, {
    bus: "(Bus)",
    token: "***",
    onStop: "(function)",
  });
});

Deno.test("maskSecrets hides the password in a URL", () => {
  const urls: Record<string, string> = {
    "redis://h": "redis://h",
    "redis://h:7000/3": "redis://h:7000/3",
    "redis://:p@h": "redis://:***@h",
    "redis://u@h": "redis://***@h",
    "redis://u:@h": "redis://u:@h",
    "rediss://u:p%40q@[::1]:7000/3": "rediss://u:***@[::1]:7000/3",
    "unix://u:p@/run/redis.sock?db=2": "unix://u:***@/run/redis.sock?db=2",
    "unix:///run/redis.sock": "unix:///run/redis.sock",
    "unix:///run/me@home.sock": "unix:///run/me@home.sock",
    "redis://h?password=p&db=1": "redis://h?password=***&db=1",
    "redis://h?pasword=p": "***",
    "redis://h?db=1?password=p": "***",
    "redis://u:p": "***",
    "redis://u:p%40h": "***",
    "redis://u:p@q@h": "***",
    "unix://u:@p/@h": "***",
    "redis://u:p/q@h": "***",
    "redis://u:p?q@h": "***",
    "redis://u:p#q@h": "***",
    "u:p@h": "***",
    "u://p@h": "***",
    "redis://u:p:q@h": "redis://u:***@h",
    "p": "***",
  };
  for (const [url, masked] of Object.entries(urls)) {
    assert.deepEqual(maskSecrets({ url }), { url: masked });
  }
});

Deno.test("no password survives maskSecrets, encoded or not", () => {
  const part = fc.string({ unit: "grapheme-ascii", maxLength: 6 });
  fc.assert(
    fc.property(
      part,
      part,
      fc.boolean(),
      fc.constantFrom("redis://", "rediss://", "unix://", "REDIS://", ""),
      (before, after, isEncoded, scheme) => {
        const password = `${before}hunter2${after}`;
        const shown = isEncoded ? encodeURIComponent(password) : password;
        const { url } = maskSecrets({ url: `${scheme}me:${shown}@h:7000/1` });
        assert.ok(!url.includes("hunter2"), url);
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("maskSecrets shows where an object holds itself", () => {
  const options: Record<string, unknown> = { token: "s3cret" };
  options["itself"] = [options];
  assert.deepEqual(maskSecrets(options), {
    token: "***",
    itself: ["(itself)"],
  });
});
