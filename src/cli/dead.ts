import { type Command, defineCommandGroup } from "./command.ts";
import { deadListCommand } from "./dead_list.ts";
import { deadPurgeCommand } from "./dead_purge.ts";
import { deadRequeueCommand } from "./dead_requeue.ts";
import { deadShowCommand } from "./dead_show.ts";

/** `dead`: looks after the messages that could not be handled. */
export const deadCommand: Command = defineCommandGroup("dead", {
  brief: "Look after the messages that could not be handled",
  examples: [
    "platypush-redis dead list --reason failed",
    "platypush-redis dead show 0",
    "platypush-redis dead requeue --newer-than 2h",
    "platypush-redis dead purge --older-than 30d",
  ],
  commands: [
    deadListCommand,
    deadShowCommand,
    deadRequeueCommand,
    deadPurgeCommand,
  ],
});
