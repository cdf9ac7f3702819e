/**
 * Platypush's own names for members, for code that comes from there: a table,
 * and what applies it. Those of options are in the rows of the options.
 *
 * @module
 */

import type {
  Event,
  EventFields,
  MessageInput,
  RequestFields,
  Response,
  ResponseFields,
} from "../message/mod.ts";
import type { RedisArgs } from "../redis/mod.ts";
import type { SendRequestOptions } from "./message_sender.ts";
import type { RegisterServiceOptions } from "./service_advertiser.ts";

const METHODS = {
  is_alive: "isAlive",
  should_stop: "shouldStop",
  wait_stop: "waitStop",
  on_stop: "onStop",
  on_message: "onMessage",
  send_message: "sendMessage",
  send_event: "sendEvent",
  send_request: "sendRequest",
  send_response: "sendResponse",
  register_service: "registerService",
  unregister_service: "unregisterService",
} as const;

const PROPERTIES = {
  redis_args: "redisArgs",
  poll_seconds: "pollSeconds",
  device_id: "deviceId",
  native_id: "nativeId",
} as const;

/**
 * The members of a {@linkcode Backend} under Platypush's names. What they take,
 * return and throw is said of the members that they stand for. A class may
 * define either; it has both then.
 *
 * @example
 * ```ts
 * import { RedisBackend, startRedis } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * await using server = await startRedis();
 * await using backend = new RedisBackend({
 *   redis_args: server.redisArgs,
 *   device_id: "livingroom",
 * });
 * await backend.send_event({ args: { type: "custom.Motion" } });
 * assert.equal(backend.is_alive(), false); // it was not started
 * await assert.rejects(
 *   backend.send_request({ action: "light.on" }, { response_timeout: 0.01 }),
 *   { name: "TimeoutError" },
 * );
 * ```
 */
export interface BackendAliases {
  /** {@linkcode Backend.redisArgs}. */
  readonly redis_args: RedisArgs;
  /** {@linkcode LifeCycle.pollSeconds}. */
  readonly poll_seconds: number | undefined;
  /** {@linkcode Backend.deviceId}. */
  readonly device_id: string;
  /** {@linkcode LifeCycle.nativeId}. */
  readonly native_id: number | undefined;
  /** {@linkcode LifeCycle.isAlive}. */
  is_alive(): boolean;
  /** {@linkcode LifeCycle.shouldStop}. */
  should_stop(): boolean;
  /** {@linkcode LifeCycle.waitStop}. */
  wait_stop(timeout?: number | null): Promise<boolean>;
  /** {@linkcode LifeCycle.onStop}. */
  on_stop(): void | Promise<void>;
  /** {@linkcode Backend.onMessage}. */
  on_message(message: MessageInput): Promise<void>;
  /** {@linkcode Backend.sendMessage}. */
  send_message(
    message: MessageInput | readonly MessageInput[],
    queueName?: string | null,
  ): Promise<void>;
  /** {@linkcode Backend.sendEvent}. */
  send_event(
    event: MessageInput | EventFields,
    queueName?: string | null,
  ): Promise<Event>;
  /** {@linkcode Backend.sendRequest}. */
  send_request(
    request: MessageInput | RequestFields,
    options: SendRequestOptions & { response_timeout: 0 | null },
  ): Promise<undefined>;
  /** {@linkcode Backend.sendRequest}. */
  send_request<Output = unknown>(
    request: MessageInput | RequestFields,
    options?: SendRequestOptions<Output>,
  ): Promise<Response<Output>>;
  /** {@linkcode Backend.sendResponse}. */
  send_response(
    response: MessageInput | Omit<ResponseFields, "target" | "id">,
    request: MessageInput | RequestFields,
  ): Promise<Response>;
  /** {@linkcode Backend.registerService}. */
  register_service(options?: RegisterServiceOptions): Promise<string>;
  /** {@linkcode Backend.unregisterService}. */
  unregister_service(): Promise<void>;
}

const finished = new WeakSet<object>();

/**
 * Gives a class, and those that it derives from, both names of what each of
 * them defines under one.
 *
 * @param prototype The class's prototype; one that was finished is left alone.
 */
export function applyAliases(prototype: object): void {
  if (prototype === Object.prototype || finished.has(prototype)) return;
  finished.add(prototype);
  applyAliases(Object.getPrototypeOf(prototype));
  for (const [alias, name] of Object.entries(METHODS)) {
    copyMember(prototype, name, alias);
    copyMember(prototype, alias, name);
  }
  for (const [alias, name] of Object.entries(PROPERTIES)) {
    if (alias in prototype) continue;
    Object.defineProperty(prototype, alias, {
      configurable: true,
      get(this: Record<string, unknown>): unknown {
        return this[name];
      },
    });
  }
}

/** Both are one function, so `super.on_stop()` in `on_stop()` does not come back to it. */
function copyMember(prototype: object, from: string, to: string): void {
  const member = Object.getOwnPropertyDescriptor(prototype, from);
  if (member === undefined || Object.hasOwn(prototype, to)) return;
  Object.defineProperty(prototype, to, member);
}
