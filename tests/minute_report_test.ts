import assert from "node:assert/strict";
import { MinuteReport } from "../src/minute_report.ts";
import { later } from "./later.ts";

Deno.test("A report is at rest when its minute is over and nothing is left to tell", () => {
  const report = new MinuteReport();
  const told: number[] = [];
  const add = (count: number): void =>
    report.add((sum) => void told.push(sum!), count);
  assert.equal(report.isAtRest, true);
  add(1);
  assert.equal(report.isAtRest, false);
  add(2);
  add(3);
  assert.deepEqual(told, [1]);
  {
    using _ = later(61);
    assert.equal(report.isAtRest, false, "a sum is left to tell");
  }
  report.stop();
  assert.deepEqual(told, [1, 5]);
  using _ = later(61);
  assert.equal(report.isAtRest, true);
});
