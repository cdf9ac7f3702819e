import type { Command } from "./command.ts";
import { defineDeadChange } from "./dead_change.ts";

/** `dead purge`: removes messages for good. */
export const deadPurgeCommand: Command = defineDeadChange({
  action: "purge",
  done: "purged",
  brief: "Remove some of them for good",
});
