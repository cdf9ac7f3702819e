import assert from "node:assert/strict";
import { Pace } from "../../src/redis/pace.ts";

/** What a consumer does who waits, takes and pauses, without anything of it taking time. */
class Simulation {
  readonly pace = new Pace();
  now = 0;
  /** How many messages came. */
  messages = 0;
  /** For how long it has paused altogether, in milliseconds. */
  paused = 0;
  /** How often it was woken. */
  wakes = 0;
  #nth = 0;

  /** Takes so many of those that are there. */
  take(there: number): number {
    const asked = this.pace.most;
    const found = Math.min(asked, there);
    this.pace.note(asked, found, there > found, this.now);
    this.messages += found;
    this.wakes++;
    const pause = this.pace.pause * 1000;
    this.now += pause;
    this.paused += pause;
    return found;
  }

  /** Messages come with so many milliseconds between them, for so many seconds. */
  steady(between: number, seconds: number): void {
    const end = this.now + seconds * 1000;
    for (let next = this.now; next < end;) {
      this.now = Math.max(this.now, next);
      const there = 1 + Math.floor((this.now - next) / between);
      next += this.take(there) * between;
    }
  }

  /**
   * So many are on their way at a time: each comes back about that many
   * milliseconds after it was taken, some sooner than others.
   */
  closed(onTheWay: number, roundTrip: number, seconds: number): void {
    const end = this.now + seconds * 1000;
    const due = Array.from(
      { length: onTheWay },
      (_, at) => this.now + at * roundTrip / onTheWay,
    );
    while (this.now < end) {
      due.sort((a, b) => a - b);
      this.now = Math.max(this.now, due[0]!);
      const there = due.filter((at) => at <= this.now).length;
      const before = this.now;
      const taken = this.take(there);
      for (let at = 0; at < taken; at++) {
        this.#nth++;
        due[at] = before + roundTrip * (0.5 + this.#nth % 11 / 10);
      }
    }
  }
}

Deno.test("A thousand messages a second come together", () => {
  const simulation = new Simulation();
  simulation.steady(1, 30);
  assert.ok(
    simulation.wakes < simulation.messages / 2.5,
    `${simulation.wakes}`,
  );
});

for (const onTheWay of [1, 8]) {
  Deno.test(`Who waits for answers is hardly slowed, with ${onTheWay} on the way`, () => {
    const simulation = new Simulation();
    simulation.closed(onTheWay, 1.6, 60);
    assert.ok(simulation.paused < 1200, `${simulation.paused} ms of pauses`);
    assert.ok(simulation.messages > onTheWay * 60_000 / 1.6 * 0.97);
  });
}

Deno.test("Nothing pauses where messages come together by themselves", () => {
  const simulation = new Simulation();
  simulation.closed(32, 3, 60);
  assert.equal(simulation.paused, 0);
});

Deno.test("Who waits for answers is not slowed for long by a start that was slow", () => {
  const simulation = new Simulation();
  // Pauses pay, as it seems: eight come in ten milliseconds anyway.
  simulation.closed(8, 10, 0.6);
  const { paused } = simulation;
  assert.ok(paused > 0);
  simulation.closed(8, 1.6, 60);
  assert.ok(simulation.paused - paused < 2000, `${simulation.paused} ms`);
});

Deno.test("Nothing pauses for long where no more come together then", () => {
  const simulation = new Simulation();
  simulation.steady(4, 60);
  assert.ok(simulation.paused < 1200, `${simulation.paused} ms of pauses`);
});

for (const between of [10, 100, 1000]) {
  Deno.test(`Nothing pauses where a message comes every ${between} ms`, () => {
    const simulation = new Simulation();
    simulation.steady(between, 600);
    assert.equal(simulation.paused, 0);
    assert.equal(simulation.pace.most, 1);
  });
}

Deno.test("Pauses end with the stream of messages, and the first one after a silence never waits", () => {
  const simulation = new Simulation();
  simulation.steady(1, 5);
  assert.ok(simulation.pace.pause > 0);
  simulation.now += 60;
  simulation.take(1);
  assert.equal(simulation.pace.pause, 0);
  const { paused } = simulation;
  simulation.now += 10;
  simulation.steady(10, 60);
  assert.equal(simulation.paused, paused);
});

Deno.test("What has more behind it is not waited for, and a flood is told", () => {
  const pace = new Pace();
  const asked: number[] = [];
  for (let round = 0; round < 5 && !pace.isFlood; round++) {
    asked.push(pace.most);
    pace.note(pace.most, pace.most, true);
    assert.equal(pace.pause, 0);
  }
  assert.deepEqual(asked, [1, 3, 7]);
  // It is over: fewer and fewer are asked for.
  for (; pace.most > 1; pace.note(pace.most, 1, false));
  assert.ok(!pace.isFlood);
});
