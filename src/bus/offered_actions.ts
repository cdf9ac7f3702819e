import type { Logger } from "../logger.ts";
import { jsonOutput } from "../message/response.ts";
import {
  defineEvent,
  type Event,
  type EventDefinition,
  newId,
  Request,
} from "../message/mod.ts";
import { stackOf } from "../guarded.ts";
import { sleep, unlessAborted } from "../waiting.ts";
import {
  type Action,
  ActionTable,
  errorsOf,
  type JsonSchema,
} from "./action_table.ts";
import type { Bus } from "./bus.ts";
import { toError } from "./errors.ts";

/** An action of a thread, as it tells the others of it. */
interface OfferedAction {
  /** Its name, or a pattern of names. */
  readonly name: string;
  /** When it was registered, in milliseconds: of two of a name, the first is called. */
  readonly since: number;
  readonly timeout?: number | undefined;
  readonly description?: string | undefined;
  readonly args?: JsonSchema | undefined;
  readonly output?: JsonSchema | undefined;
}

/** Lists the actions that a thread offers. */
export interface Offer {
  /** The id of the thread. */
  readonly thread: string;
  /** Names the thread for people. */
  readonly label: string;
  /** The group whose members share the actions that they have in common. */
  readonly group?: string | undefined;
  readonly actions: readonly OfferedAction[];
}

/**
 * The messages between the threads with actions and the backends that have them
 * executed, on a bus of their own, so that nobody else is troubled with them.
 *
 * ```text
 * a backend -- who --> every thread with actions -- offer --> every backend
 * a backend -- call -> the thread that has offered it: executes it -- answer --> the backend
 *          +-- cancel -> when nobody waits for it any more
 * ```
 */
export const ActionCalls: {
  readonly who: EventDefinition<object>;
  readonly offer: EventDefinition<Offer>;
  readonly call: EventDefinition<{
    readonly call: string;
    readonly thread: string;
    readonly name: string;
    readonly request: Record<string, unknown>;
    readonly redelivered: number;
  }>;
  readonly answer: EventDefinition<{
    readonly call: string;
    readonly output?: unknown;
    readonly errors?: readonly string[];
  }>;
  readonly cancel: EventDefinition<{
    readonly call: string;
    /** The reason, as the signal of the action has it. */
    readonly name: string;
    readonly message: string;
  }>;
} = {
  who: define("who"),
  offer: define("offer"),
  call: define("call"),
  answer: define("answer"),
  cancel: define("cancel"),
};

function define<Args extends object>(name: string): EventDefinition<Args> {
  return defineEvent<Args>(`platypush.redis.actions.${name}`);
}

/** Names the bus on which actions are called. */
export function actionBusOf(name: string): string {
  return `${name}/actions`;
}

/** Says whose actions {@linkcode OfferedActions} are. */
interface OfferedActionsOptions {
  /** The bus for the calls; it is closed with the actions. */
  readonly bus: Bus;
  /** Names the thread for people. */
  readonly label: string;
  /** The group that the thread is a member of. */
  readonly group: string | undefined;
  /** Called when others can call the actions, and with `false` when they cannot. */
  readonly onOffered: (isOffered: boolean) => void;
  readonly logger: Logger;
}

/** The actions that were registered on a `Bus`, offered to the backends of the process. */
export class OfferedActions {
  readonly #id = newId();
  readonly #options: OfferedActionsOptions;
  readonly #table = new ActionTable();
  readonly #since = new Map<string, number>();
  readonly #running = new Map<string, AbortController>();
  readonly #ready: Promise<void>;
  #isReady = false;
  #isOffered = false;
  #isClosed = false;

  constructor(options: OfferedActionsOptions) {
    const { bus } = this.#options = options;
    const { who, offer, call, cancel } = ActionCalls;
    bus.on(who, () => this.#offer());
    bus.on(offer, ({ args }) => this.#compare(args));
    bus.on(call, ({ args }) => {
      return args.thread === this.#id ? this.#answer(args) : undefined;
    });
    bus.on(cancel, ({ args }) => {
      this.#running.get(args.call)?.abort(
        new DOMException(args.message, args.name),
      );
    });
    this.#ready = bus.ready().then(async () => {
      await this.#offer();
      this.#isReady = true;
      this.#update();
    });
    this.#ready.catch(() => {});
  }

  /** Resolves when every backend of the process can call what is registered. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /**
   * Makes sure that an action can be added.
   *
   * @throws {Error} If there is one of this name on this `Bus`.
   */
  check(name: string): void {
    this.#table.check(name);
  }

  /** Adds an action, whose name was {@linkcode check}ed; returns what removes it. */
  add(name: string, action: Action): () => void {
    const remove = this.#table.add(name, action);
    this.#since.set(name, performance.timeOrigin + performance.now());
    this.#change();
    return () => {
      remove();
      this.#since.delete(name);
      this.#change();
    };
  }

  /** Executes nothing more: whatever is at work is given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#update();
    const reason = new DOMException("The bus was closed", "AbortError");
    for (const running of this.#running.values()) running.abort(reason);
    await this.#options.bus.close();
  }

  #change(): void {
    if (this.#isClosed) return;
    this.#update();
    this.#ready.then(() => this.#offer()).catch(() => {});
  }

  /** Tells the backends to ask, once they will be answered. */
  #update(): void {
    const isOffered = this.#isReady && !this.#isClosed && this.#table.size > 0;
    if (isOffered === this.#isOffered) return;
    this.#isOffered = isOffered;
    this.#options.onOffered(isOffered);
  }

  async #offer(): Promise<void> {
    const { label, group } = this.#options;
    const actions = this.#table.list().map(([name, action]) => ({
      name,
      since: this.#since.get(name) ?? 0,
      timeout: action.timeout === Infinity ? undefined : action.timeout,
      description: action.description,
      args: action.argsSchema?.(),
      output: action.outputSchema?.(),
    }));
    await this.#tell(ActionCalls.offer({
      thread: this.#id,
      label,
      ...(group !== undefined && { group }),
      actions: JSON.parse(JSON.stringify(actions)),
    }, this.#addresses));
  }

  /** Notices that a thread of no group with us has offered an action of the same name before. */
  #compare({ thread, label, group, actions }: Offer): void {
    const isShared = group !== undefined && group === this.#options.group;
    if (thread === this.#id || isShared) return;
    for (const { name, since } of actions) {
      const own = this.#since.get(name);
      if (own === undefined || own < since) continue;
      this.#options.logger.warn(
        `The action "${name}" is registered in ${
          JSON.stringify(label)
        } already: the one in ${
          JSON.stringify(this.#options.label)
        } stands by until that is gone.`,
      );
    }
  }

  async #answer(
    { call, name, request, redelivered }: {
      readonly call: string;
      readonly name: string;
      readonly request: Record<string, unknown>;
      readonly redelivered: number;
    },
  ): Promise<void> {
    const running = new AbortController();
    this.#running.set(call, running);
    let answer: { output?: unknown; errors?: readonly string[] };
    try {
      const action = this.#table.find(name);
      if (action === undefined) {
        throw new Error(`There is no action "${name}" any more`);
      }
      const built = Request.build(request);
      built.redelivered = redelivered;
      answer = { output: jsonOutput(await execute(action, built, running)) };
    } catch (reason) {
      const error = toError(reason);
      if (this.#isClosed) throw error;
      this.#options.logger.debug(stackOf(error));
      answer = { errors: errorsOf(error) };
    } finally {
      this.#running.delete(call);
    }
    // Once this is handled, the answer was heard before.
    await this.#tell(ActionCalls.answer({ call, ...answer }, this.#addresses));
  }

  async #tell(event: Event): Promise<void> {
    const receipt = await this.#options.bus.post(event);
    await receipt.handled;
  }

  /** Whose messages they are, without asking for the host's name. */
  get #addresses(): { target: string; origin: string } {
    return { target: "actions", origin: this.#id };
  }
}

/** Executes an action, until its own time is over or nobody waits for it. */
async function execute(
  action: Action,
  request: Request,
  running: AbortController,
): Promise<unknown> {
  const { signal } = running;
  const done = new AbortController();
  if (action.timeout !== undefined) {
    sleep(action.timeout, { signal: done.signal, daemon: true })
      .then((isDone) =>
        isDone || running.abort(
          new DOMException(
            `The action has not finished within ${action.timeout} s`,
            "TimeoutError",
          ),
        )
      );
  }
  try {
    return await unlessAborted(
      (async () => await action.execute(request, signal))(),
      signal,
    );
  } finally {
    done.abort();
  }
}
