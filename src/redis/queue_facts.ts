import type { QueueKeys } from "./queue_keys.ts";

/**
 * `EXISTS` answers with one number, in which a key counts as often as it is named.
 * The heartbeat is named once, the histories twice, the pause four times, the queue
 * eight times: so these are the parts of the number.
 */
export const FACTS: {
  readonly isAlive: number;
  readonly hasHistories: number;
  readonly isPaused: number;
  readonly isFollowed: number;
} = { isAlive: 1, hasHistories: 2, isPaused: 4, isFollowed: 8 };

/** Makes the command that looks for {@link FACTS}: a key counts as often as it is named. */
export function lookingFor(
  { queue, paused, deliveries }: QueueKeys,
  beat: string,
): readonly string[] {
  return [
    ...["EXISTS", beat, deliveries, deliveries],
    ...[paused, paused, paused, paused],
    ...[queue, queue, queue, queue, queue, queue, queue, queue],
  ];
}

/** Makes the command that tells in how many places of some queues there is anything. */
export function lookingIntoAll(
  queues: readonly QueueKeys[],
): readonly string[] {
  return [
    "EXISTS",
    ...queues.flatMap(({ queue, paused, delayed }) => [queue, paused, delayed]),
  ];
}
