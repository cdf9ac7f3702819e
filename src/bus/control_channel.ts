import { BroadcastChannel } from "node:worker_threads";
import { sleep } from "../waiting.ts";
import {
  isLinkMemory,
  isWatchMemory,
  type LinkMemory,
  type WatchMemory,
} from "./link_memory.ts";
import { postTo } from "./plain_channel.ts";
import { isRosterMemory } from "./roster.ts";

/**
 * Everything that the threads on a bus tell each other before they share any
 * memory.
 */
export type Control =
  | {
    /** Somebody is new. */
    readonly kind: "hello";
    readonly from: string;
    /** The number of times that it has said so before. */
    readonly attempt: number;
  }
  | {
    /** Somebody who is there answers. */
    readonly kind: "welcome";
    readonly to: string;
    readonly roster: SharedArrayBuffer;
    /** True if this roster goes before any other. */
    readonly anchored: boolean;
  }
  | {
    /** A publisher offers a link to a subscriber. */
    readonly kind: "offer";
    readonly from: string;
    readonly to: string;
    readonly memory: LinkMemory;
  }
  | {
    /** A publisher offers a link to somebody who watches. */
    readonly kind: "view";
    readonly from: string;
    readonly to: string;
    readonly memory: WatchMemory;
  };

/**
 * The channel on which threads meet. Anybody in the process can post there:
 * what no bus has sent is passed over and counted.
 */
export class ControlChannel {
  /** The number of frames that were passed over. */
  ignored = 0;
  readonly #channel: BroadcastChannel;

  /**
   * @param daemon Whether the process may end all the same.
   * @param onControl Called with what other threads have sent.
   * @param onStranger Called with whom a bus has answered that has a roster of
   * another kind.
   */
  constructor(
    name: string,
    daemon: boolean,
    onControl: (control: Control) => void,
    onStranger: (to: unknown) => void,
  ) {
    this.#channel = new BroadcastChannel(`${name}#control`);
    if (daemon) this.#channel.unref();
    this.#channel.onmessage = (event) => {
      const { data } = event as MessageEvent<unknown>;
      const control = readControl(data);
      if (control !== undefined) return onControl(control);
      this.ignored++;
      const { kind, to, roster } = (data ?? {}) as Record<string, unknown>;
      const isRoster = roster instanceof SharedArrayBuffer;
      if (kind === "welcome" && isRoster) onStranger(to);
    };
  }

  /** Posts to all other threads on the bus. */
  post(control: Control): void {
    postTo(this.#channel, control);
  }

  /** Closes the channel. */
  close(): void {
    this.#channel.close();
  }
}

/** Copies what a bus may have sent, and nothing else. */
function readControl(data: unknown): Control | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { kind, from, to, attempt, roster, anchored, memory } = data as {
    readonly [key: string]: unknown;
  };
  if (
    kind === "hello" && typeof from === "string" && typeof attempt === "number"
  ) return { kind, from, attempt };
  if (
    kind === "welcome" && typeof to === "string" && isRosterMemory(roster) &&
    typeof anchored === "boolean"
  ) return { kind, to, roster, anchored };
  if (
    kind === "offer" && typeof from === "string" && typeof to === "string" &&
    isLinkMemory(memory)
  ) return { kind, from, to, memory };
  if (
    kind === "view" && typeof from === "string" && typeof to === "string" &&
    isWatchMemory(memory)
  ) return { kind, from, to, memory };
  return undefined;
}

/**
 * Waits until a `BroadcastChannel` has sent what was posted to it: Deno does so
 * in a later turn of the event loop, and only if the channel is still open. A
 * channel that is opened in the same turn in which the thread's last one was
 * closed neither sends nor receives.
 */
export async function channelTurn(): Promise<void> {
  await sleep(0);
}
