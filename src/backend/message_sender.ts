import {
  type Checked,
  checkValue,
  type Kind,
  row,
  type Rows,
} from "../options.ts";
import { FUNCTION, NAME, OBJECT, required, SECONDS, SIGNAL } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import {
  Event,
  type EventFields,
  Message,
  type MessageInput,
  Request,
  type RequestFields,
  Response,
  type ResponseFields,
} from "../message/mod.ts";
import { Outbox, type RedisArgs } from "../redis/mod.ts";
import { traceSending } from "../telemetry/mod.ts";

/** Says where {@linkcode Backend.sendRequest} sends, and how long it waits. */
export interface SendRequestOptions {
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
  /** {@linkcode SendRequestOptions.onResponse}. */
  on_response?: ((response: Response) => unknown) | null | undefined;
  /** {@linkcode SendRequestOptions.responseTimeout}. */
  response_timeout?: number | null | undefined;
  /** {@linkcode SendRequestOptions.queueName}. */
  queue_name?: string | null | undefined;
}

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
  signal: row(SIGNAL, { description: "Ends the wait", defaultText: "nothing" }),
  queueName: row(NAME, {
    aliases: ["queue_name"],
    isNullable: true,
    description: "The queue to send it to",
    defaultText: "the backend's own",
  }),
};

const RESPONSE = required(OBJECT);
const REQUEST = required({
  expected: "the Request to answer",
  accepts: (value) => value instanceof Request,
});

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

/** The list of a response, as spans name it. */
const RESPONSES = "platypush/responses/{id}";

/** Turns messages into what is on the wire, and sends them. */
export class MessageSender {
  readonly #options: MessageSenderOptions;
  readonly #outbox: Outbox;

  constructor(options: MessageSenderOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.redisArgs, {
      logger: options.logger,
      daemon: options.daemon,
    });
  }

  /** Sends one message, or several at once and in their order. */
  async sendMessage(
    messages: MessageInput | readonly MessageInput[],
    queueName: string = this.#options.queue,
  ): Promise<void> {
    const { deviceId } = this.#options;
    await traceSending(
      queueName,
      // A text is passed on with all its digits, whoever reads it.
      listOf(messages).map((message) =>
        Message.build(message, { deviceId, bigint: true })
      ),
      (texts) => this.#outbox.push(queueName, texts),
    );
  }

  /** Sends an event, and returns it. */
  async sendEvent(
    event: Event | EventFields,
    queueName?: string,
  ): Promise<Event> {
    const message = event instanceof Event
      ? event
      : new Event({ ...this.#addresses(), ...event });
    await this.sendMessage(message, queueName);
    return message;
  }

  /** Sends a request, and waits for the response if there is time for one. */
  async sendRequest(
    request: Request | RequestFields,
    { onResponse, responseTimeout, queueName, signal }: Checked<
      SendRequestOptions,
      "responseTimeout"
    >,
  ): Promise<Response | undefined> {
    signal?.throwIfAborted();
    const message = request instanceof Request
      ? request
      : new Request({ ...this.#addresses(), ...request });
    await this.sendMessage(message, queueName);
    if (!responseTimeout) return undefined;
    const payload = await this.#outbox.waitForResponse(
      message.id,
      responseTimeout,
      signal,
    );
    const { deviceId, maxSize, bigint = false } = this.#options;
    const response = Response.build(payload, {
      deviceId,
      ...(maxSize !== undefined && { maxSize }),
      bigint,
    });
    await onResponse?.(response);
    return response;
  }

  /** Sends the response to a request, and returns it. */
  async sendResponse(
    response: Response | Omit<ResponseFields, "target" | "id">,
    request: Request,
  ): Promise<Response> {
    checkValue("send the response", "response", response, RESPONSE);
    checkValue("send the response", "request", request, REQUEST);
    const message = new Response({
      origin: this.#options.deviceId,
      ...response,
      ...(response instanceof Response && { extra: response.extra }),
      target: request.origin,
      id: request.id,
    });
    await traceSending(
      RESPONSES,
      [message],
      ([text]) => this.#outbox.pushResponse(request.id, text!),
    );
    return message;
  }

  /** Closes its connections; whoever waits for a response is told. */
  async close(): Promise<void> {
    await this.#outbox.close();
  }

  #addresses(): { target: string; origin: string } {
    const { deviceId } = this.#options;
    return { target: deviceId, origin: deviceId };
  }
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
