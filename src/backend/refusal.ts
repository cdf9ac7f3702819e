import { isRecord } from "../message/json_value.ts";
import { kinds } from "../message/kinds.ts";
import { textOfNumber } from "../message/message.ts";
import { Request } from "../message/mod.ts";
import { decodeText, MAX_SIZE, parseText } from "../message/parse_text.ts";

/**
 * Finds out whether what is no message was meant as a request that somebody waits
 * for the response to.
 *
 * @param payload What was taken off a queue.
 * @param deviceId Whose messages are that do not say so.
 * @returns A request with the same id and origin, for the response; `undefined`
 * where nobody can wait.
 */
export function refusedRequest(
  payload: Uint8Array,
  deviceId: string,
): Request | undefined {
  const wire = read(payload);
  if (!isRecord(wire)) return undefined;
  const { type, action, id, origin, target } = wire;
  const isRequest = type === "request" ||
    action !== undefined && kinds.get(type) === undefined;
  const isText = typeof id === "string" && id !== "";
  if (!isRequest || !isText && textOfNumber(id) === undefined) return undefined;
  return Request.build({
    type: "request",
    id,
    action: typeof action === "string" && action !== "" ? action : "unknown",
    ...(typeof origin === "string" && { origin }),
    ...(typeof target === "string" && { target }),
  }, { deviceId });
}

/** Reads what a message may be too wrong for. */
function read(payload: Uint8Array): unknown {
  if (payload.length > MAX_SIZE) return undefined;
  try {
    return parseText(decodeText(payload, MAX_SIZE), true);
  } catch {
    // Nested too deeply, not UTF-8, or with a key that is refused.
  }
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
}
