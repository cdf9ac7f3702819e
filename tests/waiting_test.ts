import assert from "node:assert/strict";
import process from "node:process";
import {
  Alarm,
  backoff,
  retry,
  settledWithin,
  sleep,
  unlessAborted,
  whenAborted,
  withTimeLimit,
} from "../src/waiting.ts";

Deno.test("sleep does not end at once where it has no end", async () => {
  for (const seconds of [undefined, Infinity, 1e300]) {
    const end = new AbortController();
    const long = sleep(seconds, { signal: end.signal });
    assert.equal(await Promise.race([long, sleep(0.02)]), false);
    end.abort();
    assert.equal(await long, true);
  }
});

Deno.test("What was due before happens at once, and Deno warns of no timer", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  const { promise, resolve } = Promise.withResolvers<number>();
  using alarm = new Alarm(resolve);
  alarm.set(-2);
  assert.equal(await sleep(-2), false);
  assert.ok(await promise < performance.now());
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});

Deno.test("settledWithin tells what was settled in time, also by a rejection", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  assert.equal(await settledWithin(promise, 0.01), false);
  assert.equal(await settledWithin(Promise.reject(new Error()), 60), true);
  const end = AbortSignal.abort();
  assert.equal(await settledWithin(promise, 60, { signal: end }), false);
  resolve();
  assert.equal(await settledWithin(promise, undefined), true);
});

Deno.test("unlessAborted ends with the reason of the signal", async () => {
  const abort = new AbortController();
  const waiting = unlessAborted(new Promise(() => {}), abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.equal(await unlessAborted(Promise.resolve(1), AbortSignal.any([])), 1);
});

Deno.test("Alarm goes off when it was set to, which may be sooner or never", async () => {
  const off: PromiseWithResolvers<void>[] = [];
  const next = (): Promise<void> => {
    off.push(Promise.withResolvers());
    return off.at(-1)!.promise;
  };
  let count = 0;
  const alarm = new Alarm(() => {
    count++;
    off.pop()!.resolve();
  });
  const first = next();
  alarm.set(60);
  alarm.advance(0.01);
  alarm.advance(60);
  assert.ok(await settledWithin(first, 10));
  const second = next();
  alarm.set(0.02);
  alarm.set(Infinity);
  alarm.advance(0.01);
  assert.ok(await settledWithin(second, 10));
  assert.equal(count, 2);
  alarm[Symbol.dispose]();
  alarm.set(0);
  alarm.advance(0);
  await sleep(0.01);
  assert.equal(count, 2);
});

Deno.test("whenAborted calls once, at once where it is over, and not after its block", () => {
  const calls: string[] = [];
  const abort = new AbortController();
  const { signal } = abort;
  using _never = whenAborted(undefined, () => calls.push("never"));
  {
    using _left = whenAborted(signal, () => calls.push("left"));
  }
  using _once = whenAborted(signal, () => calls.push("once"));
  assert.equal(calls.length, 0);
  abort.abort();
  abort.abort();
  assert.deepEqual(calls, ["once"]);
  using _late = whenAborted(AbortSignal.abort(), () => calls.push("late"));
  assert.deepEqual(calls, ["once", "late"]);
});

Deno.test("withTimeLimit ends the work when the time is over, with the signal, or at once", async () => {
  const untilEnd = (signal: AbortSignal): Promise<boolean> =>
    sleep(undefined, { signal });
  const never = new AbortController().signal;
  assert.equal(await withTimeLimit(0.01, never, untilEnd), true);
  const isOver = (signal: AbortSignal): Promise<boolean> =>
    Promise.resolve(signal.aborted);
  assert.equal(await withTimeLimit(60, never, isOver), false);
  assert.equal(await withTimeLimit(60, AbortSignal.abort(), isOver), true);
  const abort = new AbortController();
  const working = withTimeLimit(60, abort.signal, untilEnd);
  abort.abort();
  assert.equal(await working, true);
  // What is done before leaves no timer behind, and tells what went wrong.
  const failing = withTimeLimit(
    60,
    never,
    () => Promise.reject(new Error("no")),
  );
  await assert.rejects(failing, /no/);
});

Deno.test("the pauses between attempts grow up to a limit", () => {
  for (const [attempt, longest] of [[0, 1], [1, 2], [2, 4], [9, 5]] as const) {
    const pause = backoff(attempt, { first: 1, longest: 5 });
    assert.ok(pause >= longest * 0.75 && pause <= longest, `${pause}`);
  }
});

Deno.test("retry tries again while that may help", async () => {
  const fail = (attempt: number): Promise<never> =>
    Promise.reject(new Error(String(attempt)));
  const tried: unknown[] = [];
  const mayHelp = (error: unknown, attempt: number): "at once" | boolean => {
    tried.push([(error as Error).message, attempt]);
    return attempt < 2 && "at once";
  };
  await assert.rejects(retry(fail, { mayHelp }), { message: "2" });
  assert.deepEqual(tried, [["0", 0], ["1", 1], ["2", 2]]);

  const late = (attempt: number): Promise<number> =>
    attempt < 3 ? fail(attempt) : Promise.resolve(attempt);
  const pauses = { first: 0.001, longest: 0.001 };
  assert.equal(await retry(late, { mayHelp: () => true, ...pauses }), 3);
});

Deno.test("retry ends with the last error when it is aborted in a pause", async () => {
  const abort = new AbortController();
  const { signal } = abort;
  const mayHelp = (): boolean => {
    queueMicrotask(() => abort.abort());
    return true;
  };
  await assert.rejects(
    retry(() => Promise.reject(new Error("no")), {
      mayHelp,
      signal,
      first: 600,
      longest: 600,
    }),
    { message: "no" },
  );
});
