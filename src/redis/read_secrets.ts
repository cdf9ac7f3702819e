import { createPrivateKey } from "node:crypto";
import { settledWithin, type WaitOptions } from "../waiting.ts";
import { type Address, formatAddress } from "./address.ts";
import { type Credentials, PEM_CERTIFICATE } from "./redis_args.ts";
import { RedisError } from "./redis_error.ts";
import type { Settings, TlsSettings } from "./settings.ts";

/** All that a connection needs to prove who is at its ends. */
export interface Secrets {
  readonly credentials: Credentials;
  /** Options for `node:tls`; `undefined` where it is not used. */
  readonly tls: Record<string, unknown> | undefined;
}

/**
 * Gets the credentials, and what TLS needs, anew for each connection: within the
 * time that connecting has, since a function or a file may never answer.
 *
 * @throws {TypeError} A file cannot be read, or what the function gives is of
 * the wrong kind.
 * @throws {RedisError} The function has failed, or the time is over.
 */
export async function readSecrets(
  address: Address,
  settings: Settings,
  options: WaitOptions,
): Promise<Secrets> {
  const { connectTimeout, tls, provide } = settings;
  const end = new AbortController();
  const reading = Promise.all([
    credentialsOf(settings, end.signal),
    tls && loadTls(tls, address, end.signal),
  ]);
  try {
    if (!await settledWithin(reading, connectTimeout, options)) {
      const source = provide === undefined
        ? "a file that the arguments name"
        : "`credential_provider`";
      throw new RedisError({
        attempted: "connect to Redis",
        place: formatAddress(address),
        reason: `${source} has given nothing within ${connectTimeout} s`,
      }, "unavailable");
    }
    const [credentials, loaded] = await reading;
    return { credentials, tls: loaded };
  } finally {
    // A file that gives nothing would keep the process alive.
    end.abort();
  }
}

/**
 * Gets the user's name and password, anew for each connection.
 *
 * @throws {TypeError} The file cannot be read, or what the function gives is of
 * the wrong kind.
 * @throws {RedisError} The function has failed.
 */
async function credentialsOf(
  settings: Settings,
  signal: AbortSignal,
): Promise<Credentials> {
  const { username, password, passwordFile, provide } = settings;
  if (provide !== undefined) return await provideCredentials(provide);
  const text = await read("password_file", passwordFile, signal);
  return { username, password: text?.replace(/\r?\n$/, "") ?? password };
}

async function provideCredentials(
  provide: NonNullable<Settings["provide"]>,
): Promise<Credentials> {
  const attempted = "connect to Redis";
  let found: Credentials;
  try {
    found = await provide();
  } catch (cause) {
    const reason = "`credential_provider` has failed";
    throw new RedisError({ attempted, reason }, "unavailable", { cause });
  }
  const isText = (value: unknown): boolean =>
    value === undefined || typeof value === "string";
  if (isText(found?.username) && isText(found?.password)) return found;
  throw new TypeError(
    `Cannot ${attempted}: \`credential_provider\` has to give an object such as { username, password }`,
  );
}

/**
 * Reads the certificates and keys that TLS needs.
 *
 * @returns Options for `node:tls`.
 * @throws {TypeError} A file cannot be read, or what is in it cannot be used.
 */
async function loadTls(
  settings: TlsSettings,
  address: Address,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const [caFile, cert, key] = await Promise.all([
    read("ssl_ca_certs", settings.caFile, signal),
    read("ssl_certfile", settings.certFile, signal),
    read("ssl_keyfile", settings.keyFile ?? settings.certFile, signal),
  ]);
  const ca = [caFile, ...await readFolder(settings.caPath, signal), settings.ca]
    .filter((text) => text !== undefined);
  checkCertificate("ssl_ca_certs", caFile);
  checkCertificate("ssl_certfile", cert);
  return {
    tls: true,
    ...(ca.length > 0 ? { ca } : {}),
    ...(cert === undefined ? {} : { cert, key: openKey(key!, settings) }),
    ...(settings.passphrase === undefined
      ? {}
      : { passphrase: settings.passphrase }),
    rejectUnauthorized: settings.verify,
    ...(settings.checkHostname
      ? {}
      : { checkServerIdentity: (): undefined => undefined }),
    ...("path" in address ? {} : { servername: serverName(address.host) }),
  };
}

/** Refuses what has no certificate: `node:tls` trusts, or shows, nothing then. */
function checkCertificate(argument: string, text: string | undefined): void {
  if (text === undefined || PEM_CERTIFICATE.test(text)) return;
  throw refused(argument, "has no certificate in PEM");
}

const PEM_KEY = /^-----BEGIN ([\w ]*PRIVATE KEY)-----[^]*?^-----END \1-----/m;

/**
 * Takes the key out of a file, which may have certificates in front. Refuses one
 * that cannot be opened: `node:tls` leaves out the certificate then, and only the
 * server complains.
 */
function openKey(
  text: string,
  { keyFile, passphrase }: TlsSettings,
): string {
  const argument = keyFile === undefined ? "ssl_certfile" : "ssl_keyfile";
  const [key] = PEM_KEY.exec(text) ?? [];
  if (key === undefined) {
    const advice = keyFile === undefined ? "; set `ssl_keyfile`" : "";
    throw refused(argument, `has no private key in PEM${advice}`);
  }
  if (!key.includes("ENCRYPTED")) return key;
  if (passphrase === undefined) {
    throw refused(argument, "is encrypted; set `ssl_password`");
  }
  try {
    createPrivateKey({ key, passphrase });
    return key;
  } catch {
    throw refused(argument, "cannot be opened with `ssl_password`");
  }
}

function refused(argument: string, why: string, cause?: unknown): TypeError {
  return new TypeError(
    `Cannot connect to Redis: the file that \`${argument}\` names ${why}`,
    { cause },
  );
}

async function read(
  argument: string,
  path: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await Deno.readTextFile(path, { signal });
  } catch (cause) {
    const why = `cannot be read (${(cause as Error).message})`;
    throw refused(argument, why, cause);
  }
}

/** Reads the files of a folder, whatever they are called. */
async function readFolder(
  path: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  if (path === undefined) return [];
  const texts = new Map<string, string>();
  try {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory) continue;
      const text = await Deno.readTextFile(`${path}/${name}`, { signal });
      texts.set(name, text);
    }
  } catch (cause) {
    throw new TypeError(
      `Cannot connect to Redis: the folder that \`ssl_ca_path\` names cannot be read (${
        (cause as Error).message
      })`,
      { cause },
    );
  }
  return [...texts.values()].filter((text) => text.includes("CERTIFICATE"));
}

/** The name of a server in TLS is never an address (RFC 6066, section 3). */
function serverName(host: string): string {
  return /^[0-9.]+$|:/.test(host) ? "" : host;
}
