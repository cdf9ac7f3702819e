import { connect, type DetailedPeerCertificate } from "node:tls";
import { type RedisArgs, RedisError } from "../redis/mod.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { settledWithin } from "../waiting.ts";
import type { KnownPeers } from "./identity.ts";

/**
 * The certificate that a peer's Redis shows where no CA says whose it is.
 *
 * @module
 */

/** The arguments to connect with, and what is to be remembered then. */
interface Pinned {
  readonly args: RedisArgs;
  readonly fingerprint: string;
}

/** Tells whether a certificate counts here only because it was there before. */
export function isPinned({ ssl, ssl_cert_reqs }: RedisArgs): boolean {
  return ssl === true && ssl_cert_reqs === "none";
}

/**
 * Looks at the certificate that a peer's Redis shows, and has the connection
 * accept no other one than what has issued it, itself where it has signed itself.
 * If its CA is not shown, it is only compared: TLS takes nothing for its own CA
 * that is none.
 *
 * @param args How to reach the Redis of the peer.
 * @throws {RedisError} It is not the one that is remembered, or there is none.
 */
export async function pinCertificate(
  deviceId: string,
  args: RedisArgs,
  knownPeers: KnownPeers,
): Promise<Pinned> {
  const attempted = `send to "${deviceId}"`;
  const { own, last } = await certificatesOf(args).catch((cause) => {
    throw new RedisError(
      { attempted, reason: `it shows no certificate: ${cause.message}` },
      "connection",
      { cause },
    );
  });
  // A CA may issue others, for whoever asks: so it is the server's own that counts.
  const hash = await crypto.subtle.digest("SHA-256", new Uint8Array(own.raw));
  const digits = new Uint8Array(hash).toBase64({ omitPadding: true });
  const fingerprint = `SHA256:${digits}`;
  const expected = await knownPeers.certificateOf(deviceId) ?? fingerprint;
  if (fingerprint !== expected) {
    throw new RedisError({
      attempted,
      reason:
        `its Redis shows the certificate ${fingerprint}, but is known by the certificate ${expected}: either it has a new one, or somebody else is in between`,
      advice:
        `if it has a new one, remove the line of the certificate of "${deviceId}" from ${knownPeers.path}`,
    }, "tls");
  }
  if (JSON.stringify(last.subject) !== JSON.stringify(last.issuer)) {
    return { args, fingerprint };
  }
  const body = new Uint8Array(last.raw).toBase64();
  const pem =
    `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
  return {
    args: {
      ...args,
      ssl_cert_reqs: "required",
      ssl_check_hostname: false,
      ssl_ca_certs: undefined,
      ssl_ca_path: undefined,
      ssl_ca_data: pem,
    },
    fingerprint,
  };
}

interface ShownCertificates {
  /** The server's own. */
  readonly own: DetailedPeerCertificate;
  /** That of the last of those who vouch for it and are shown, or its own. */
  readonly last: DetailedPeerCertificate;
}

/** The certificates that a server shows. */
async function certificatesOf(args: RedisArgs): Promise<ShownCertificates> {
  const { promise, resolve, reject } = Promise.withResolvers<
    ShownCertificates
  >();
  const { connectTimeout } = parseRedisArgs(args);
  const socket = connect({
    host: args.host!,
    port: args.port!,
    servername: "",
    // It is the look at the certificate, and nothing is sent.
    rejectUnauthorized: false,
  });
  socket.once("secureConnect", () => {
    const own = socket.getPeerCertificate(true);
    let last = own;
    const seen = new Set<string>();
    while (!seen.has(last.fingerprint256)) {
      seen.add(last.fingerprint256);
      last = last.issuerCertificate ?? last;
    }
    resolve({ own, last });
  });
  socket.on("error", reject);
  try {
    if (await settledWithin(promise, connectTimeout)) return await promise;
    throw new Error(`no answer within ${connectTimeout} s`);
  } finally {
    socket.destroy();
  }
}
