import assert from "node:assert/strict";

Deno.test("Ten times as many services on one host are ten times the work, and no more", async () => {
  const program = new URL("work_of_services.ts", import.meta.url).pathname;
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--quiet", "--v8-flags=--jitless"],
      ...[program, "40", "400"],
    ],
    stderr: "inherit",
  }).output();
  assert.ok(success);
  const [few, many] = new TextDecoder().decode(stdout).trim().split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(few.found, 40);
  assert.equal(many.found, 400);
  for (
    const [what, limit] of [
      ["announcing", 12],
      ["answering", 12],
      ["finding", 12],
      ["finding as many hosts", 12],
      // Whoever asks for all of them, time and again, is not looked up in each.
      ["hearing questions", 2],
    ] as const
  ) {
    const times = many[what] / few[what];
    assert.ok(times < limit, `${what} is ${times.toFixed(1)} times the work`);
  }
});
