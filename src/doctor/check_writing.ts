import type { BriefConnection } from "../redis/brief_connection.ts";
import { explainReply } from "./explain_reply.ts";
import { failure, type Finding, ok } from "./finding.ts";
import { rehearse } from "./rehearse.ts";

/**
 * Looks at whether the server takes what is written. Nothing is.
 */
export async function* checkWriting(
  connection: BriefConnection,
  queue: string,
): AsyncGenerator<Finding> {
  const [error] = await rehearse(connection, [["RPUSH", queue, ""]]);
  if (error === undefined) {
    yield ok("writing", "The server takes what is written.");
    return;
  }
  // Whether the user may write is looked at elsewhere.
  if (error.code === "permission") return;
  const [message, advice] = explainReply(error) ??
    [`${error.message}.`, "Look into the server's log."];
  yield failure("writing", message, advice);
}
