import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { RedisBackend } from "../../mod.ts";
import { type RedisOptions, resolveRedisOptions } from "./redis_options.ts";

/** Whom a message is for. */
export function targetOption(): Parser<"sync", string | undefined, unknown> {
  return optional(option("--target", string({ metavar: "ID" }), {
    description: message`The device that is to get it. Default: our own`,
  }));
}

/** A backend that only sends; dispose of it. */
export function openSender(options: RedisOptions): RedisBackend {
  const { url, queue, deviceId } = resolveRedisOptions(options);
  return new RedisBackend({ redisArgs: url ? { url } : {}, queue, deviceId });
}
