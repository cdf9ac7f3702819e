import type { Command } from "./command.ts";
import { defineDeadChange } from "./dead_change.ts";

/** `dead requeue`: puts messages back at the end of the queue. */
export const deadRequeueCommand: Command = defineDeadChange({
  action: "requeue",
  done: "requeued",
  brief: "Put some of them back at the end of the queue",
});
