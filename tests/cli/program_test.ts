import assert from "node:assert/strict";
import { Program } from "../programs.ts";

/** Starts the program that waits for a signal. */
async function start(last: string): Promise<Program> {
  const program = new Program(["tests/cli/interrupted.ts", last]);
  assert.equal(await program.line(), "ready");
  return program;
}

Deno.test("a program that gets the same Ctrl-C twice still ends properly", async () => {
  await using program = await start("signalled-twice");
  assert.deepEqual(await program.end("SIGINT"), {
    code: 0,
    stdout: "ready\ninterrupted\ndone\n",
    stderr: "",
  });
});

Deno.test("a program ends at once with another Ctrl-C", async () => {
  await using program = await start("never-done");
  const begin = performance.now();
  const again = setInterval(() => {
    try {
      Deno.kill(program.pid, "SIGINT");
    } catch (error) {
      // It has ended, and nobody has told us yet.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }, 50);
  try {
    const { code, stderr } = await program.end();
    assert.deepEqual([code, stderr], [130, ""]);
    assert.ok(performance.now() - begin > 500);
  } finally {
    clearInterval(again);
  }
});

for (const last of ["aborted", "connection-closed"]) {
  Deno.test(`a program does not tell what a signal has caused: ${last}`, async () => {
    await using program = await start(last);
    const { code, stderr } = await program.end("SIGTERM");
    assert.deepEqual([code, stderr], [0, ""]);
  });
}

for (
  const [last, text] of [
    ["out-of-memory", "The server is out of memory."],
    ["broken", "The disk is full"],
  ] as const
) {
  Deno.test(`a program tells what goes wrong while it ends: ${last}`, async () => {
    await using program = await start(last);
    const { code, stderr } = await program.end("SIGTERM");
    assert.deepEqual([code, stderr], [1, `error: ${text}\n`]);
  });
}
