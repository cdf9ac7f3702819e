import assert from "node:assert/strict";
import {
  diagnose,
  type DiagnoseOptions,
  type Finding,
  type RedisArgs,
} from "../../mod.ts";

/** A server with which nothing is wrong. */
export const SOUND = ["appendonly yes", "maxmemory 100mb"];

export async function findings(
  redisArgs: RedisArgs,
  options: DiagnoseOptions = {},
): Promise<Finding[]> {
  return await Array.fromAsync(diagnose({
    redisArgs,
    queue: "queue",
    multicast: false,
    ...options,
  }));
}

/** What is not as it should be: `status check: message | advice`. */
export async function problems(
  redisArgs: RedisArgs,
  options?: DiagnoseOptions,
): Promise<string[]> {
  const all = await findings(redisArgs, options);
  assert.ok(
    all.every(({ message, advice }) => !`${message}${advice}`.includes("\n")),
  );
  return all.filter(({ status }) => status !== "ok").map((
    { status, check, message, advice },
  ) => `${status} ${check}: ${message} | ${advice}`);
}
