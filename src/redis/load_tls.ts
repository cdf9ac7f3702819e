import type { Address } from "./address.ts";
import type { TlsSettings } from "./parse_redis_args.ts";

/**
 * Reads the certificates and keys that TLS needs.
 *
 * @returns Options for `node:tls`.
 * @throws {TypeError} A file cannot be read.
 */
export async function loadTls(
  settings: TlsSettings,
  address: Address,
): Promise<Record<string, unknown>> {
  const [caFile, cert, key] = await Promise.all([
    read("ssl_ca_certs", settings.caFile),
    read("ssl_certfile", settings.certFile),
    read("ssl_keyfile", settings.keyFile ?? settings.certFile),
  ]);
  const ca = [caFile, settings.ca].filter((text) => text !== undefined);
  return {
    tls: true,
    ...(ca.length > 0 ? { ca } : {}),
    ...(cert === undefined ? {} : { cert, key }),
    ...(settings.passphrase === undefined
      ? {}
      : { passphrase: settings.passphrase }),
    rejectUnauthorized: settings.verify,
    ...(settings.checkHostname ? {} : { checkServerIdentity: () => undefined }),
    ...("path" in address ? {} : { servername: serverName(address.host) }),
  };
}

async function read(
  argument: string,
  path: string | undefined,
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new TypeError(
      `Cannot connect to Redis: the file that \`${argument}\` names cannot be read (${
        (cause as Error).message
      })`,
      { cause },
    );
  }
}

/** The name of a server in TLS is never an address (RFC 6066, section 3). */
function serverName(host: string): string {
  return /^[0-9.]+$|:/.test(host) ? "" : host;
}
