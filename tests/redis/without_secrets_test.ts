import assert from "node:assert/strict";
import { DeadLetters, Outbox, startRedis } from "../../mod.ts";
import { encodeDeadLetter } from "../../src/redis/dead_letter.ts";
import { maskTokens } from "../../src/redis/without_secrets.ts";

Deno.test("console.log shows no password of startRedis(), and no token in a dead letter", async () => {
  await using server = await startRedis({
    config: ["requirepass s3cret"],
    redisArgs: { password: "s3cret" },
  });
  assert.equal(server.redisArgs.password, "s3cret");
  const shown = Deno.inspect([server], { depth: 9 });
  assert.doesNotMatch(shown, /s3cret/);
  assert.match(shown, /password: "\*\*\*"/);
  await using outbox = new Outbox(server.redisArgs);
  const message = {
    type: "request",
    action: "light.on",
    token: "t0ken",
    args: { room: "hall" },
  };
  const letter = encodeDeadLetter({
    id: "1",
    queue: "q",
    reason: "failed",
    error: "no bulb",
    time: 1,
    deliveries: 1,
    payload: new TextEncoder().encode(JSON.stringify(message)),
  });
  await outbox.push("{q}:dead", letter);
  await using dead = new DeadLetters(server.redisArgs, { queue: "q" });
  for await (const letter of dead.list()) {
    const text = Deno.inspect(letter);
    assert.doesNotMatch(text, /t0ken/);
    assert.match(text, /no bulb[^]*light\.on/);
    assert.match(new TextDecoder().decode(letter.payload), /t0ken/);
  }
});

/** A text in a text, as an output that holds a message has it. */
function inTexts(text: string, depth: number): string {
  return depth === 0 ? text : inTexts(JSON.stringify({ text }), depth - 1);
}

Deno.test("no token is seen, however a sender writes it, and whatever it holds", () => {
  const texts = [
    String.raw`{"token": "t0ken\"t0ken", "args": {}}`,
    String.raw`{'token': 't0ken\'t0ken', 'args': {}}`,
    `{"token":\n"t0\nt0ken"`,
    `{"args": {}, "token": "t0ken`,
    '{"args": {}, "token": "t0ken\\',
    `{u'token': u't0ken', u'args': {}}`,
    `{'token': '''t0ken''', 'args': {}}`,
    `{'token': 't0' "t0ken", 'args': {}}`,
    String.raw`{"msg": "{\"token\": \"t0ken\\\"t0\", \"args\": {}}"}`,
    String.raw`{'msg': '{\'token\': \'t0ken\', "args": {}}'}`,
    String.raw`{"args": {}, "msg": "{\"token\": \"t0ken`,
    String.raw`{"\u0074oken": "t0ken", "args": {}}`,
    String.raw`{"t\u006F\u006bEN": "x", "tok\u0065n": "t0ken", "args": {}}`,
    String.raw`{'\x74oken': 't0ken', 'args': {}}`,
    `{'token': '''t0'ken''', 'args': {}}`,
    `{'token': """t0"k""en""", 'args': {}}`,
    `{'''token''': 't0ken', 'args': {}}`,
    `{"token": """t0"ken`,
    inTexts(`{"token": "t0ken", "args": {}}`, 5),
    inTexts(`{'token': "t0'ken", 'args': {}}`, 3),
    inTexts(String.raw`{"\u0074oken": "t0\"ken", "args": {}}`, 8),
    // More than a regular expression can step back in.
    `{"token": "${"t0".repeat(10_000_000)}", "args": {}}`,
  ];
  for (const text of texts) {
    const shown = maskTokens(text);
    assert.ok(!shown.includes("t0"), text.slice(0, 60));
    assert.equal(shown.includes("args"), text.includes("args"));
  }
});
