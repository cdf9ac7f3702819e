import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { RedisBackend } from "../../mod.ts";
import { type RedisOptions, resolvePlace } from "./redis_options.ts";

/** Whom a message is for. */
export function targetOption(): Parser<"sync", string | undefined, unknown> {
  return optional(option("--target", string({ metavar: "ID" }), {
    description: message`The device that is to get it. Default: our own`,
  }));
}

/** A backend that only sends; dispose of it. */
export async function openSender(options: RedisOptions): Promise<RedisBackend> {
  const { redisArgs, queue, deviceId } = await resolvePlace(options);
  return new RedisBackend({ redisArgs, queue, deviceId });
}
