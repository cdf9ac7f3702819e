import assert from "node:assert/strict";
import type { DnsMessage } from "../../src/zeroconf/dns_message.ts";
import { BrowserUnderTest, received, serviceRecords, TYPE } from "./helpers.ts";

const NAME = `livingroom.${TYPE}`;
const { ptr, srv, txt, a } = serviceRecords();
const ALL = [ptr, srv, txt, a];

/** A browser that has seen a service, and asks for nothing just now. */
function settled(): BrowserUnderTest {
  const test = new BrowserUnderTest();
  test.hear(ALL);
  test.clock.advance(20_000);
  test.hear(ALL);
  assert.deepEqual(test.kinds, ["added"]);
  test.sent.length = 0;
  return test;
}

function asked(test: BrowserUnderTest, type: string): number[] {
  return test.questions.filter(([, question]) => question === `${type} ${NAME}`)
    .map(([at]) => at);
}

/** Lets it hear a question of another host. */
function hearQuestion(
  test: BrowserUnderTest,
  question: Omit<DnsMessage, "type">,
): void {
  test.querier.receive(received({ type: "query", ...question }), {
    interfaceName: "eth0",
    address: "192.0.2.77",
    port: 5353,
  });
}

Deno.test("A service that cannot be reached is asked for, and unreachable after ten seconds", () => {
  const test = settled();
  const start = test.clock.now();
  assert.equal(test.querier.stateOf(NAME), "here");
  test.querier.reconfirm(NAME);
  test.clock.advance(9_900);
  assert.deepEqual(asked(test, "SRV").map((at) => at - start), [0, 1e3, 3e3]);
  assert.deepEqual(test.kinds, ["added"]);
  test.clock.advance(200);
  assert.deepEqual(test.kinds, ["added", "removed"]);
  assert.equal(test.querier.stateOf(NAME), "unreachable");
  // It is asked for at a bounded rate, for as long as others tell of it.
  test.clock.advance(600_000);
  const count = asked(test, "SRV").length;
  assert.ok(count > 60 && count < 85, `${count} times`);
  test.hear([srv, txt, a]);
  assert.deepEqual(test.kinds, ["added", "removed", "added"]);
  assert.equal(test.querier.stateOf(NAME), "here");
  test.hear(ALL.map((record) => ({ ...record, ttl: 0 })));
  test.clock.advance(1_100);
  assert.equal(test.querier.stateOf(NAME), "gone");
});

Deno.test("A service that answers when it is doubted stays, and is doubted no more", () => {
  const test = settled();
  test.querier.reconfirm(NAME);
  test.clock.advance(500);
  test.hear(ALL);
  test.clock.advance(60_000);
  assert.equal(asked(test, "SRV").length, 1);
  assert.deepEqual(test.kinds, ["added"]);
});

Deno.test("A service that others ask for in vain goes", () => {
  const question = { questions: [{ name: NAME, type: "SRV" }] };
  const silent = settled();
  const heard = settled();
  const once = settled();
  const known = settled();
  for (const test of [silent, heard, once, known]) test.clock.advance(2_000);
  for (const test of [silent, heard, once]) hearQuestion(test, question);
  hearQuestion(known, { ...question, answers: [srv] });
  for (const test of [silent, heard, once, known]) test.clock.advance(2_000);
  heard.hear([srv]);
  hearQuestion(silent, question);
  hearQuestion(heard, question);
  hearQuestion(known, { ...question, answers: [srv] });
  for (const test of [silent, heard, once, known]) test.clock.advance(8_100);
  assert.equal(silent.kinds.at(-1), "removed");
  for (const test of [heard, once, known]) {
    assert.deepEqual(test.kinds, ["added"]);
  }
});

Deno.test("A type that others ask for in vain is asked for once more", () => {
  const test = settled();
  const questions = [{ name: TYPE, type: "PTR" }];
  test.clock.advance(2_000);
  hearQuestion(test, { questions });
  test.clock.advance(2_000);
  hearQuestion(test, { questions });
  test.clock.advance(8_100);
  assert.equal(test.kinds.at(-1), "removed");
  test.clock.advance(1_000);
  assert.ok(test.questions.some(([, question]) => question === `PTR ${TYPE}`));
});

Deno.test("A second look within a minute answers from the cache, and looks whether that holds", () => {
  for (const answers of [true, false]) {
    const test = settled();
    test.querier.unfollow(test.browser);
    test.clock.advance(30_000);
    test.changes.length = 0;
    const again = test.again();
    assert.deepEqual(again.services.map(({ name }) => name), [`${NAME}.`]);
    test.clock.advance(100);
    if (answers) test.hear(ALL);
    test.clock.advance(1_000);
    assert.equal(again.services.length, answers ? 1 : 0);
    assert.equal(asked(test, "SRV").length > 0, !answers);
  }
});

Deno.test("What was heard more than a minute ago, and not followed since, is forgotten", () => {
  const test = settled();
  test.querier.unfollow(test.browser);
  test.clock.advance(61_000);
  assert.deepEqual(test.again().services, []);
  assert.deepEqual(test.querier.size, { records: 0, services: 0 });
});

Deno.test("What is not followed any more is asked for no more, beside what is", () => {
  const test = settled();
  test.other("_http._tcp.local");
  test.querier.unfollow(test.browser);
  test.clock.advance(59_000);
  assert.deepEqual(asked(test, "SRV"), []);
  test.clock.advance(3_600_000);
  assert.deepEqual(test.querier.size, { records: 0, services: 0 });
});

Deno.test("After the host has slept, everybody has to answer once more", () => {
  for (const answers of [true, false]) {
    const test = settled();
    test.querier.networkChanged(new Set(["eth0"]), new Set(["eth0"]), true);
    test.clock.advance(200);
    assert.ok(
      test.questions.some(([, question]) => question === `PTR ${TYPE}`),
    );
    if (answers) test.hear(ALL);
    test.clock.advance(10_000);
    assert.equal(
      test.querier.stateOf(NAME),
      answers ? "here" : "unreachable",
    );
  }
});
