import { BriefConnection } from "../redis/brief_connection.ts";
import type { RedisArgs } from "../redis/redis_args.ts";
import { serverStatus } from "../redis/queue_status.ts";
import { RedisError, type RedisErrorCode } from "../redis/redis_error.ts";
import { explainReply } from "./explain_reply.ts";
import { failure, type Finding, ok } from "./finding.ts";

/** Says what to do when a server does not let us in. */
const ADVICE: Partial<Record<RedisErrorCode, string>> = {
  connection:
    "Start the server (systemctl start redis-server), or say where it is: its address, port and whether it speaks TLS.",
  auth: "Set the user's name and password as they are in the server's ACL.",
  tls:
    "Use rediss:// only where the server speaks TLS, and name the authority that has signed its certificate (ssl_ca_certs).",
  unsupported: "Upgrade the server: Redis 6.2 or newer, or Valkey.",
  permission: "Let the user run HELLO and PING: +@connection",
};

/**
 * Connects to the server.
 *
 * @param key A key that it has to serve, in a cluster.
 * @returns What was found, and the connection if there is one.
 * @throws {TypeError} An argument is unknown or wrong.
 * @throws {RedisError} Aborted, with the code `closed`.
 */
export async function checkServer(
  args: RedisArgs,
  key: string,
  signal: AbortSignal,
): Promise<[Finding, BriefConnection?]> {
  let connection: BriefConnection | undefined;
  try {
    connection = await BriefConnection.open(args, { key, signal });
    const { name, version, address } = await serverStatus(connection);
    return [
      ok("server", `${name} ${version || "of some version"} at ${address}.`),
      connection,
    ];
  } catch (error) {
    connection?.[Symbol.dispose]();
    if (!(error instanceof RedisError) || error.code === "closed") throw error;
    // A server that takes nothing that is written refuses PING, too.
    const [message, advice] = explainReply(error) ??
      [
        `${error.message}.`,
        ADVICE[error.code] ?? "Look into the server's log.",
      ];
    return [failure("server", message, advice)];
  }
}
