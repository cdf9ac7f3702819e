import { type Checked, type Kind, row, type Rows } from "../options.ts";
import { FUNCTION, NAME, SCHEMA, SECONDS, SIGNAL } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import {
  Event,
  type EventFields,
  Message,
  MessageError,
  type MessageInput,
  Request,
  type RequestFields,
  type Response,
  type Schema,
} from "../message/mod.ts";
import { fitted } from "../message/schema.ts";
import { Outbox, type RedisArgs, type ScheduleOptions } from "../redis/mod.ts";
import { RedisError, restate } from "../redis/redis_error.ts";
import {
  isScheduled,
  SCHEDULE_OPTIONS,
  secondsUntilDue,
} from "../redis/delayed.ts";
import { traceSending } from "../telemetry/mod.ts";
import { settledWithin } from "../waiting.ts";
import {
  readMessage,
  readRequest,
  readResponse,
  refusalOf,
  type ResponseContent,
  responseTo,
} from "./message_forms.ts";

/** Says where {@linkcode Backend.sendEvent} sends, and when. */
export interface SendOptions extends ScheduleOptions {
  /** The queue to send to. Default: the backend's own. */
  queueName?: string | null | undefined;
  /** {@linkcode SendOptions.queueName}. */
  queue_name?: string | null | undefined;
}

const QUEUE_NAME = row(NAME, {
  aliases: ["queue_name"],
  isNullable: true,
  description: "The queue to send it to",
  defaultText: "the backend's own",
});

/** Every option of {@linkcode Backend.sendEvent}. */
export const SEND_OPTIONS: Rows<SendOptions> = {
  ...SCHEDULE_OPTIONS,
  queueName: QUEUE_NAME,
};

/** Says where {@linkcode Backend.sendRequest} sends, and how long it waits. */
export interface SendRequestOptions<Output = unknown> {
  /** Called with the response, and waited for, before the promise resolves. */
  onResponse?: ((response: Response) => unknown) | null | undefined;
  /**
   * The longest time to wait for the response, in seconds; 0 and `null` wait for
   * none. Default: 5.
   */
  responseTimeout?: number | null | undefined;
  /** The queue to send it to. Default: the backend's own. */
  queueName?: string | null | undefined;
  /**
   * Ends the wait: the promise rejects with the signal's reason. A request that
   * was sent stays sent.
   */
  signal?: AbortSignal | undefined;
  /**
   * In how many seconds the request is in the queue, by the server's clock; the
   * time limit begins then. Default: 0.
   */
  delay?: number | undefined;
  /** The time at which the request is in the queue, in place of `delay`. */
  at?: Date | undefined;
  /** Checks the request's `args` before it is sent. Default: they are sent as they are. */
  schema?: Schema | undefined;
  /**
   * Gives the response its output as the schema makes it, with its type, unless
   * the response tells of errors. Default: it is taken as it is.
   */
  output?: Schema<Output> | undefined;
  /** {@linkcode SendRequestOptions.onResponse}. */
  on_response?: ((response: Response) => unknown) | null | undefined;
  /** {@linkcode SendRequestOptions.responseTimeout}. */
  response_timeout?: number | null | undefined;
  /** {@linkcode SendRequestOptions.queueName}. */
  queue_name?: string | null | undefined;
}

/** A time limit for a response; `null` as Python's `None`. */
const RESPONSE_TIME: Kind = {
  ...SECONDS,
  accepts: (value) => value === null || SECONDS.accepts(value),
};

/** Every option of {@linkcode Backend.sendRequest}. */
export const REQUEST_OPTIONS: Rows<
  SendRequestOptions,
  "responseTimeout"
> = {
  onResponse: row(FUNCTION, {
    aliases: ["on_response"],
    isNullable: true,
    description: "Called with the response",
    defaultText: "nothing",
  }),
  responseTimeout: row(RESPONSE_TIME, {
    description:
      "How long to wait for the response; 0 and `null` wait for none",
    aliases: ["response_timeout"],
    default: 5,
  }),
  schema: row(SCHEMA, {
    description: "What the request's `args` have to be",
    defaultText: "anything",
  }),
  output: row(SCHEMA, {
    description: "What the response's output has to be, and becomes",
    defaultText: "anything",
  }),
  signal: row(SIGNAL, { description: "Ends the wait", defaultText: "nothing" }),
  queueName: QUEUE_NAME,
  delay: SCHEDULE_OPTIONS.delay,
  at: SCHEDULE_OPTIONS.at,
};

interface MessageSenderOptions {
  /** The origin of what is sent, and its target where it has none. */
  readonly deviceId: string;
  /** The queue to send to where none is named. */
  readonly queue: string;
  /** Says how to reach Redis. */
  readonly redisArgs: RedisArgs;
  /** Lets the process end while there are connections. */
  readonly daemon: boolean;
  /** The size limit of a response, in bytes. */
  readonly maxSize?: number | undefined;
  /** Gives whole numbers in a response, beyond 2^53, as big integers. */
  readonly bigint?: boolean;
  /** Reports what happens. */
  readonly logger: Logger;
}

/** Limits how long closing waits for requests to be taken back, in seconds. */
const CLOSE_TIMEOUT = 5;

/** The list of a response, as spans name it. */
const RESPONSES = "platypush/responses/{id}";

/** Turns messages into what is on the wire, and sends them. */
export class MessageSender {
  readonly #options: MessageSenderOptions;
  readonly #outbox: Outbox;
  /** Ends the waits for responses when this is closed. */
  readonly #closing = new AbortController();
  /** The waits for responses, until their requests are taken back where nobody has. */
  readonly #waiting = new Set<Promise<unknown>>();

  constructor(options: MessageSenderOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.redisArgs, {
      logger: options.logger,
      daemon: options.daemon,
    });
  }

  /**
   * Sends one message, or several at once and in their order. A text that is no
   * message is sent as it is.
   */
  async sendMessage(
    messages: MessageInput | readonly MessageInput[],
    options: Checked<SendOptions>,
  ): Promise<boolean> {
    const queue = options.queueName ?? this.#options.queue;
    const built = listOf(messages).map((message) => this.#build(message));
    return await this.#send(queue, built, options) !== undefined;
  }

  /** Sends an event, and returns it; `undefined` where it is a duplicate. */
  async sendEvent(
    event: MessageInput | EventFields,
    options: Checked<SendOptions>,
  ): Promise<Event | undefined> {
    const message = readMessage(Event, event, this.#options);
    return await this.sendMessage(message, options) ? message : undefined;
  }

  /** Takes a message back that is not due yet. */
  async cancel(id: string, queueName?: string | null): Promise<boolean> {
    return await this.#outbox.cancel(queueName ?? this.#options.queue, id);
  }

  /**
   * Sends now, or when they are due.
   *
   * @returns What was sent, as it is on the wire; `undefined` for a duplicate.
   */
  async #send(
    queue: string,
    messages: readonly (Message | string | Uint8Array)[],
    { delay, at, deduplicate, deduplicateFor }: Checked<ScheduleOptions>,
    timeout?: number,
  ): Promise<readonly (string | Uint8Array)[] | undefined> {
    const schedule = {
      delay,
      at,
      ...(deduplicate !== undefined && { deduplicate, deduplicateFor }),
    };
    const isLater = isScheduled(schedule);
    // How old a message is counts from when it is due.
    const wait = isLater ? secondsUntilDue(schedule) : 0;
    for (const message of messages) {
      const isMade = message instanceof Message;
      if (isMade && wait > 0) message.timestamp = Date.now() / 1000 + wait;
    }
    let sent: readonly (string | Uint8Array)[] | undefined;
    await traceSending(queue, messages, async (texts) => {
      if (!isLater) await this.#outbox.push(queue, texts, timeout);
      else {
        const scheduled = texts.map((payload, at) => ({
          id: idOf(messages[at]!),
          payload,
        }));
        const outbox = this.#outbox;
        if (!await outbox.schedule(queue, scheduled, schedule, timeout)) return;
      }
      sent = texts;
    });
    return sent;
  }

  /** Sends a request, and waits for the response if there is time for one. */
  async sendRequest(
    request: MessageInput | RequestFields,
    options: Checked<SendRequestOptions, "responseTimeout">,
  ): Promise<Response | undefined> {
    const { onResponse, queueName, signal, schema, output, delay, at } =
      options;
    const responseTimeout = options.responseTimeout
      ? options.responseTimeout + secondsUntilDue(options)
      : 0;
    signal?.throwIfAborted();
    const message = readMessage(Request, request, this.#options);
    if (schema !== undefined) {
      const { args, positional } = message;
      const given = positional.length > 0 ? positional : args;
      await fitted(schema, given, "The request's args");
      signal?.throwIfAborted();
    }
    // The time is for all of it: connecting, sending, and waiting.
    const start = performance.now();
    const queue = queueName ?? this.#options.queue;
    const limit = responseTimeout || undefined;
    const [sent] = await this.#send(queue, [message], { delay, at }, limit) ??
      [];
    if (!responseTimeout) return undefined;
    const { signal: closing } = this.#closing;
    const waiting = this.#outbox.waitForResponse(
      message.id,
      responseTimeout,
      signal === undefined ? closing : AbortSignal.any([signal, closing]),
      start,
      (payload) => refusalOf(payload, message, this.#options),
    ).catch(async (error) => {
      // Whoever has ended the wait gets their own reason, of whatever name.
      if (signal?.aborted && error === signal.reason) throw error;
      throw await this.#takeBack(queue, message.id, sent!, error);
    });
    this.#waiting.add(waiting);
    const payload = await waiting.finally(() => this.#waiting.delete(waiting));
    const response = readResponse(payload, message, this.#options);
    if (output !== undefined && response.errors.length === 0) {
      const what = "The parts of the response's output";
      response.output = await fitted(output, response.output, what);
    }
    await onResponse?.(response);
    return response;
  }

  /**
   * Takes back a request that nobody has taken in its time or before this was
   * closed, or whose response this user may not read.
   *
   * @param sent What is in the queue, if it is still there.
   * @returns The error, which tells whether it was taken back.
   */
  async #takeBack(
    queue: string,
    id: string,
    sent: string | Uint8Array,
    error: unknown,
  ): Promise<unknown> {
    const isRefused = error instanceof RedisError &&
      (error.code === "permission" || error.code === "closed");
    const isLate = error instanceof DOMException &&
      error.name === "TimeoutError";
    if (!isRefused && !isLate) return error;
    try {
      const isBack = await this.#outbox.takeBack(queue, sent) ||
        await this.#outbox.cancel(queue, id);
      const what = isBack
        ? `Nobody has taken it from "${queue}", and it was taken back`
        : "Somebody has taken it, and may still execute it";
      return isLate
        ? new DOMException(`${error.message}. ${what}`, error.name)
        : restate(error as RedisError, { note: what });
    } catch {
      const note = "The request was sent, and may be executed";
      return isRefused ? restate(error, { note }) : error;
    }
  }

  /** Sends the response to a request, and returns it. */
  async sendResponse(
    response: MessageInput | ResponseContent,
    request: MessageInput | RequestFields,
  ): Promise<Response> {
    const asked = readRequest(request, this.#options);
    const message = responseTo(asked, response, this.#options);
    await traceSending(
      RESPONSES,
      [message],
      ([text]) => this.#outbox.pushResponse(asked.id, text!),
    );
    return message;
  }

  /** Closes its connections; whoever waits for a response is told. */
  async close(): Promise<void> {
    this.#closing.abort(stopped());
    // A request that stayed in the queue would be executed when nobody waits.
    const left = Promise.allSettled(this.#waiting);
    await settledWithin(left, CLOSE_TIMEOUT, { daemon: this.#options.daemon });
    await this.#outbox.close();
  }

  /** Builds a message; what is none goes out as it is, if it is a text. */
  #build(input: MessageInput): Message | string | Uint8Array {
    const { deviceId } = this.#options;
    try {
      // A text is passed on with all its digits, whoever reads it.
      return Message.build(input, { deviceId, bigint: true });
    } catch (error) {
      const isText = typeof input === "string" || input instanceof Uint8Array;
      const isSent = isText && error instanceof MessageError &&
        error.reason === "malformed";
      if (!isSent) throw error;
      return input;
    }
  }
}

/** Tells who waits for a response that none will come here any more. */
function stopped(): RedisError {
  const reason = "the backend was stopped";
  return new RedisError({ attempted: "wait for a response", reason }, "closed");
}

/** Gives the id of what is sent; of what is no message, one that nobody knows. */
function idOf(message: Message | string | Uint8Array): string {
  return message instanceof Message ? message.id : crypto.randomUUID();
}

/** One message or several as a list. */
export function listOf(
  messages: MessageInput | readonly MessageInput[],
): readonly MessageInput[] {
  return isList(messages) ? messages : [messages];
}

/** `Array.isArray` does not recognise a readonly array. */
function isList(
  messages: MessageInput | readonly MessageInput[],
): messages is readonly MessageInput[] {
  return Array.isArray(messages);
}
