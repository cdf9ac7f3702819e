import type { RedisError } from "../redis/redis_error.ts";

/** Explains what a server says that does not do its work, and what to do. */
const REPLIES: Readonly<
  Record<string, readonly [message: string, advice: string]>
> = {
  READONLY: [
    "The server is a replica, and takes nothing that is written.",
    "Connect to its master; with Sentinel or Cluster, let `sentinels` or `cluster` find it.",
  ],
  MISCONF: [
    "The server cannot save its data to disk, and takes nothing that is written.",
    "Make room on its disk and look into its log; INFO persistence tells when it works again.",
  ],
  OOM: [
    "The server is out of memory, and takes nothing that is written.",
    "Raise its `maxmemory`, or remove what is no longer needed.",
  ],
  NOREPLICAS: [
    "Too few replicas are connected, and the server takes nothing that is written.",
    "Bring the replicas back, or lower `min-replicas-to-write`.",
  ],
  CLUSTERDOWN: [
    "The cluster is down.",
    "Bring its nodes back: CLUSTER INFO tells which slots are served.",
  ],
  LOADING: [
    "The server is loading its data, and answers nothing else meanwhile.",
    "Wait until it has finished: its log tells how far it is.",
  ],
  BUSY: [
    "A script keeps the server busy, and it answers nothing else meanwhile.",
    "Wait, or end the script: SCRIPT KILL",
  ],
};

/**
 * Says what an answer of the server means.
 *
 * @returns What it means, and what to do; `undefined` where that is not known.
 */
export function explainReply(
  error: RedisError,
): readonly [message: string, advice: string] | undefined {
  return error.reply === undefined ? undefined : REPLIES[error.reply];
}
