import assert from "node:assert/strict";
import { MemoryBudget } from "../../src/redis/memory_budget.ts";
import { LineLogger } from "../line_logger.ts";

Deno.test("MemoryBudget warns once while what is in hand goes up and down near the limit", () => {
  const logger = new LineLogger();
  const budget = new MemoryBudget(1000, logger, () => {});
  for (const bytes of [850, -100, 100, -300, 300]) budget.add(bytes);
  assert.equal(logger.lines.length, 1);
  for (const bytes of [-400, 400]) budget.add(bytes);
  assert.equal(logger.lines.length, 2);
  assert.match(logger.lines[1]!, /have 850 bytes in hand, more than 80 %/);
});
