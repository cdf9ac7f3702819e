import { BroadcastChannel } from "node:worker_threads";

/**
 * Posts to a channel.
 *
 * Deno ends the one receiver of an isolate a while after the last channel was
 * closed, and a channel that was opened meanwhile has none: it hears nothing, and
 * posting fails. Whatever channel is opened then begins anew for all.
 *
 * @param channel The channel.
 * @param data What to post.
 */
export function postTo(channel: BroadcastChannel, data: unknown): void {
  try {
    channel.postMessage(data);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    new BroadcastChannel(channel.name).close();
    channel.postMessage(data);
  }
}
