/**
 * Platypush's own names for members and options, for code that comes from
 * there. Each is its camelCase namesake and nothing else.
 *
 * @module
 */

import type { Event, MessageInput, Request, Response } from "../message/mod.ts";
import type { RedisArgs } from "../redis/mod.ts";
import type {
  EventLike,
  RequestLike,
  ResponseLike,
  SendRequestOptions,
} from "./sender.ts";
import type { RegisterServiceOptions } from "./services.ts";

/** Options of {@linkcode Backend} under Platypush's names. */
export interface BackendOptionAliases {
  /** {@linkcode BackendOptions.redisArgs}. */
  redis_args?: RedisArgs;
  /** {@linkcode BackendOptions.pollSeconds}. */
  poll_seconds?: number;
  /** {@linkcode BackendOptions.deviceId}. */
  device_id?: string;
}

/**
 * Options of {@linkcode Backend.registerService} under Platypush's names.
 *
 * @example
 * ```ts
 * import { RedisBackend } from "@platypush/redis";
 *
 * await using backend = new RedisBackend({ deviceId: "livingroom" });
 * const name = await backend.register_service({
 *   srv_type: "_lights._tcp.local.",
 *   srv_name: "hall",
 *   port: 6379,
 *   interfaces: ["127.0.0.1"],
 * });
 * console.assert(name === "hall._lights._tcp.local.");
 * ```
 */
export interface RegisterServiceOptionAliases {
  /** {@linkcode RegisterServiceOptions.srvType}. */
  srv_type?: string;
  /** {@linkcode RegisterServiceOptions.srvName}. */
  srv_name?: string;
}

/**
 * Options of {@linkcode Backend.sendRequest} under Platypush's names, as in the
 * example of {@linkcode BackendAliases}.
 */
export interface SendRequestOptionAliases {
  /** {@linkcode SendRequestOptions.onResponse}. */
  on_response?: (response: Response) => unknown;
  /** {@linkcode SendRequestOptions.responseTimeout}. */
  response_timeout?: number;
  /** {@linkcode SendRequestOptions.queueName}. */
  queue_name?: string;
}

/**
 * The members of a backend under Platypush's names. What they take, return and
 * throw is said of the members that they stand for.
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
export abstract class BackendAliases {
  /** See {@linkcode Backend.redisArgs}. */
  abstract readonly redisArgs: RedisArgs;
  /** See {@linkcode Backend.pollSeconds}. */
  abstract readonly pollSeconds: number | undefined;
  /** See {@linkcode Backend.deviceId}. */
  abstract readonly deviceId: string;
  /** See {@linkcode Backend.nativeId}. */
  abstract readonly nativeId: number | undefined;
  /** See {@linkcode Backend.isAlive}. */
  abstract isAlive(): boolean;
  /** See {@linkcode Backend.shouldStop}. */
  abstract shouldStop(): boolean;
  /** See {@linkcode Backend.waitStop}. */
  abstract waitStop(timeout?: number): Promise<boolean>;
  /** See {@linkcode Backend.onStop}. */
  abstract onStop(): void | Promise<void>;
  /** See {@linkcode Backend.onMessage}. */
  abstract onMessage(message: MessageInput): Promise<void>;
  /** See {@linkcode Backend.sendMessage}. */
  abstract sendMessage(
    message: MessageInput | readonly MessageInput[],
    queueName?: string,
  ): Promise<void>;
  /** See {@linkcode Backend.sendEvent}. */
  abstract sendEvent(event: EventLike, queueName?: string): Promise<Event>;
  /** See {@linkcode Backend.sendRequest}. */
  abstract sendRequest(
    request: RequestLike,
    options?: SendRequestOptions,
  ): Promise<Response>;
  /** See {@linkcode Backend.sendResponse}. */
  abstract sendResponse(
    response: ResponseLike,
    request: Request,
  ): Promise<Response>;
  /** See {@linkcode Backend.registerService}. */
  abstract registerService(options?: RegisterServiceOptions): Promise<string>;
  /** See {@linkcode Backend.unregisterService}. */
  abstract unregisterService(): Promise<void>;

  /** {@linkcode Backend.redisArgs}. */
  get redis_args(): RedisArgs {
    return this.redisArgs;
  }

  /** {@linkcode Backend.pollSeconds}. */
  get poll_seconds(): number | undefined {
    return this.pollSeconds;
  }

  /** {@linkcode Backend.deviceId}. */
  get device_id(): string {
    return this.deviceId;
  }

  /** {@linkcode Backend.nativeId}. */
  get native_id(): number | undefined {
    return this.nativeId;
  }

  /** {@linkcode Backend.isAlive}. */
  is_alive(): boolean {
    return this.isAlive();
  }

  /** {@linkcode Backend.shouldStop}. */
  should_stop(): boolean {
    return this.shouldStop();
  }

  /** {@linkcode Backend.waitStop}. */
  wait_stop(timeout?: number): Promise<boolean> {
    return this.waitStop(timeout);
  }

  /** {@linkcode Backend.onStop}; a class may define either. */
  on_stop(): void | Promise<void> {
    return this.onStop();
  }

  /** {@linkcode Backend.onMessage}. */
  on_message(message: MessageInput): Promise<void> {
    return this.onMessage(message);
  }

  /** {@linkcode Backend.sendMessage}. */
  send_message(
    message: MessageInput | readonly MessageInput[],
    queueName?: string,
  ): Promise<void> {
    return this.sendMessage(message, queueName);
  }

  /** {@linkcode Backend.sendEvent}. */
  send_event(event: EventLike, queueName?: string): Promise<Event> {
    return this.sendEvent(event, queueName);
  }

  /** {@linkcode Backend.sendRequest}. */
  send_request(
    request: RequestLike,
    options?: SendRequestOptions,
  ): Promise<Response> {
    return this.sendRequest(request, options);
  }

  /** {@linkcode Backend.sendResponse}. */
  send_response(response: ResponseLike, request: Request): Promise<Response> {
    return this.sendResponse(response, request);
  }

  /** {@linkcode Backend.registerService}. */
  register_service(options?: RegisterServiceOptions): Promise<string> {
    return this.registerService(options);
  }

  /** {@linkcode Backend.unregisterService}. */
  unregister_service(): Promise<void> {
    return this.unregisterService();
  }
}
