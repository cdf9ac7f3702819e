import { whenAborted } from "../waiting.ts";
import { Bus } from "../bus/mod.ts";
import { hasActions } from "../bus/bus.ts";
import { toError } from "../bus/errors.ts";
import { type Action, ActionTable, Misfit } from "../bus/action_table.ts";
import {
  actionBusOf,
  ActionCalls,
  type Offer,
} from "../bus/offered_actions.ts";
import type { Logger } from "../logger.ts";
import { newId, type Request } from "../message/mod.ts";

/** Says whose actions {@linkcode WorkerActions} finds. */
interface WorkerActionsOptions {
  /** The bus that the threads are on. */
  readonly bus: Bus;
  readonly daemon: boolean;
  readonly logger: Logger;
  /** Called when there are actions in other threads, and when there are none any more. */
  readonly onChange: () => void;
}

/** A thread's reply to the call of an action. */
interface CallReply {
  readonly output?: unknown;
  readonly errors?: readonly string[];
}

/**
 * The actions that were registered on a `Bus` of this process, in whatever
 * thread: finds them, and has them executed there.
 */
export class WorkerActions {
  readonly #options: WorkerActionsOptions;
  readonly #id = newId();
  readonly #offers = new Map<string, Offer>();
  /** The number of actions that each thread has at work. */
  readonly #busy = new Map<string, number>();
  readonly #answers = new Map<string, (answer: CallReply) => void>();
  #table = new ActionTable();
  #bus: Bus | undefined;
  #known: Promise<void> = Promise.resolve();
  #isAny = false;

  constructor(options: WorkerActionsOptions) {
    this.#options = options;
    options.bus.addEventListener("actions", this.#look);
    this.#look();
  }

  /** True while a thread offers actions, so that requests are answered here. */
  get isAny(): boolean {
    return this.#isAny;
  }

  /** Lists what the threads offer now. */
  async list(): Promise<[name: string, action: Action][]> {
    await this.#known;
    return this.#table.list();
  }

  /** Finds what executes a request. */
  async find(name: string): Promise<Action | undefined> {
    if (!this.#isAny) return undefined;
    await this.#known;
    return this.#table.find(name);
  }

  /** The name that is spelled most like one that was not found. */
  nearest(name: string): string | undefined {
    return this.#table.nearest(name);
  }

  /** Finds nothing more. */
  async close(): Promise<void> {
    this.#options.bus.removeEventListener("actions", this.#look);
    this.#isAny = false;
    await this.#bus?.close();
  }

  /** Asks again what there is whenever a thread has begun or ceased to offer something. */
  readonly #look = (): void => {
    const { bus, onChange } = this.#options;
    this.#isAny = hasActions(bus);
    if (this.#isAny) {
      this.#known = this.#ask().catch(() => {});
    } else {
      this.#offers.clear();
      this.#refill();
    }
    onChange();
  };

  async #ask(): Promise<void> {
    const bus = this.#bus ??= this.#open();
    await bus.ready();
    this.#offers.clear();
    const receipt = await bus.post(ActionCalls.who({}, this.#addresses));
    await receipt.handled;
    this.#refill();
  }

  #open(): Bus {
    const { bus, daemon, logger } = this.#options;
    const calls = new Bus({
      name: actionBusOf(bus.name),
      plain: false,
      handlerTimeout: Infinity,
      daemon,
      logger,
    });
    calls.on(ActionCalls.offer, ({ args }) => {
      this.#offers.set(args.thread, args);
      this.#refill();
    });
    calls.on(ActionCalls.answer, ({ args }) => {
      this.#answers.get(args.call)?.(args);
    });
    return calls;
  }

  /**
   * Makes a table of the offers: of two of a name the first counts, together with
   * the members of its group.
   */
  #refill(): void {
    const all = [...this.#offers.values()].flatMap((offer) =>
      offer.actions.map((action) => ({ offer, action }))
    );
    all.sort((a, b) => a.action.since - b.action.since);
    const sharers = new Map<string, Offer[]>();
    this.#table = new ActionTable();
    for (const { offer, action } of all) {
      const { name, timeout, description, args, output } = action;
      const others = sharers.get(name);
      if (others !== undefined) {
        const { group } = others[0]!;
        if (group !== undefined && offer.group === group) others.push(offer);
        continue;
      }
      const threads = [offer];
      sharers.set(name, threads);
      this.#table.add(name, {
        execute: (request, signal) =>
          this.#call(this.#leastBusy(threads), name, request, signal),
        timeout,
        description,
        argsSchema: args && (() => args),
        outputSchema: output && (() => output),
      });
    }
  }

  /** The thread that has the fewest actions at work; of equals, whoever was asked longest ago. */
  #leastBusy(threads: Offer[]): Offer {
    const [first, ...others] = threads;
    const busy = ({ thread }: Offer): number => this.#busy.get(thread) ?? 0;
    const chosen = others.reduce(
      (best, each) => busy(each) < busy(best) ? each : best,
      first!,
    );
    threads.push(...threads.splice(threads.indexOf(chosen), 1));
    return chosen;
  }

  async #call(
    { thread, label }: Offer,
    name: string,
    request: Request,
    signal: AbortSignal,
  ): Promise<unknown> {
    const bus = this.#bus!;
    const call = newId();
    const answered = Promise.withResolvers<CallReply>();
    const cancel = (): void => {
      const { name, message } = toError(signal.reason);
      const event = ActionCalls.cancel(
        { call, name, message },
        this.#addresses,
      );
      bus.post(event).catch(() => {});
    };
    this.#answers.set(call, answered.resolve);
    this.#busy.set(thread, (this.#busy.get(thread) ?? 0) + 1);
    try {
      using _end = whenAborted(signal, cancel);
      const receipt = await bus.post(ActionCalls.call({
        call,
        thread,
        name,
        request: request.toJSON(),
        redelivered: request.redelivered,
      }, this.#addresses));
      const gone = receipt.handled.then(() => {
        throw new Error(
          `The thread ${
            JSON.stringify(label)
          } was at work on the action, and is gone`,
        );
      });
      const { output, errors } = await Promise.race([answered.promise, gone]);
      if (errors !== undefined) throw new Misfit(errors);
      return output;
    } finally {
      this.#answers.delete(call);
      const left = this.#busy.get(thread)! - 1;
      if (left > 0) this.#busy.set(thread, left);
      else this.#busy.delete(thread);
    }
  }

  /** Whose messages they are, without asking for the host's name. */
  get #addresses(): { target: string; origin: string } {
    return { target: "actions", origin: this.#id };
  }
}
