import { dirname } from "node:path";
import { isRecord } from "../message/json_value.ts";
import { toldLack } from "../permission.ts";
import { settledWithin } from "../waiting.ts";
import { fold } from "../zeroconf/dns_message.ts";

const encoder = new TextEncoder();
const ALGORITHM = "Ed25519";
/** Keeps a signature from counting for anything else that the key may sign one day. */
const PURPOSE = "platypush-redis proof 1";
const KEY_FILE = "key.pem";
const PEERS_FILE = "known_peers";

/** Holds what a device signs: that a question reached it by an address of its own. */
export interface Statement {
  /** The question's own number, which nobody can know beforehand. */
  readonly nonce: string;
  readonly deviceId: string;
  /** The address that whoever asks has connected to. */
  readonly host: string;
  readonly port: number;
}

/** The Ed25519 key of a backend, kept in a folder, by which it proves who it is. */
export class Identity {
  /** The public key as people compare it, like OpenSSH's: `SHA256:...`. */
  readonly fingerprint: string;
  readonly #key: CryptoKey;
  readonly #publicKey: string;

  private constructor(
    key: CryptoKey,
    publicKey: string,
    fingerprint: string,
  ) {
    this.#key = key;
    this.#publicKey = publicKey;
    this.fingerprint = fingerprint;
  }

  /**
   * Reads the key from a folder; where there is none, makes the folder and a key
   * that its owner alone may read.
   *
   * @throws {Error} The file is none, or may not be read or written.
   */
  static async open(folder: string): Promise<Identity> {
    const path = `${folder}/${KEY_FILE}`;
    const key = await readKey(path) ??
      await permitted(folder, () => makeKey(folder, path));
    const { x } = await crypto.subtle.exportKey("jwk", key);
    const bytes = Uint8Array.fromBase64(x!, { alphabet: "base64url" });
    return new Identity(key, bytes.toBase64(), await fingerprintOf(bytes));
  }

  /** Signs; the result is what {@linkcode isSigned} reads. */
  async sign(statement: Statement): Promise<string> {
    const signature = await crypto.subtle.sign(
      ALGORITHM,
      this.#key,
      bytesOf(statement),
    );
    return JSON.stringify({
      key: this.#publicKey,
      signature: new Uint8Array(signature).toBase64(),
    });
  }
}

/** True only where the key with this fingerprint has signed; what cannot be read proves nothing. */
export async function isSigned(
  statement: Statement,
  proof: string,
  fingerprint: string,
): Promise<boolean> {
  try {
    const parts = JSON.parse(proof);
    if (!isRecord(parts)) return false;
    const [key, signature] = [parts["key"], parts["signature"]].map((text) =>
      Uint8Array.fromBase64(String(text))
    );
    if (await fingerprintOf(key!) !== fingerprint) return false;
    return await crypto.subtle.verify(
      ALGORITHM,
      await crypto.subtle.importKey("raw", key!, ALGORITHM, false, ["verify"]),
      signature!,
      bytesOf(statement),
    );
  } catch {
    return false;
  }
}

/** Says what a line of the file is about; a key, where it says nothing. */
const CERTIFICATE = "certificate ";

/**
 * Remembers peers in a file: the keys in lines like `SHA256:... kitchen`, and the
 * certificates of their Redis in lines like `certificate SHA256:... kitchen`.
 */
export class KnownPeers {
  /** The file, which people may edit. */
  readonly path: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.path = `${folder}/${PEERS_FILE}`;
  }

  /** The fingerprint that is remembered of a device's key. */
  keyOf(deviceId: string): Promise<string | undefined> {
    return this.#find("", deviceId);
  }

  /** The fingerprint that is remembered of the certificate of a device's Redis. */
  certificateOf(deviceId: string): Promise<string | undefined> {
    return this.#find(CERTIFICATE, deviceId);
  }

  /** Remembers a key for good. */
  remember(deviceId: string, fingerprint: string): Promise<void> {
    return this.#append("", deviceId, fingerprint);
  }

  /** Remembers a certificate for good. */
  rememberCertificate(deviceId: string, fingerprint: string): Promise<void> {
    return this.#append(CERTIFICATE, deviceId, fingerprint);
  }

  async #find(kind: string, deviceId: string): Promise<string | undefined> {
    for (const line of (await readText(this.path) ?? "").split("\n")) {
      if (!line.startsWith(kind)) continue;
      const [, fingerprint, name] =
        /^(SHA256:\S+) (.+?)\r?$/s.exec(line.slice(kind.length)) ?? [];
      if (name !== undefined && isSameDevice(name, lineName(deviceId))) {
        return fingerprint;
      }
    }
    return undefined;
  }

  async #append(
    kind: string,
    deviceId: string,
    fingerprint: string,
  ): Promise<void> {
    const line = `${kind}${fingerprint} ${lineName(deviceId)}\n`;
    const before = await readText(this.path) ?? "";
    // Not every editor ends the last line.
    const gap = before === "" || before.endsWith("\n") ? "" : "\n";
    await permitted(this.#folder, async () => {
      await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeLasting(this.path, gap + line);
    });
  }
}

/** The keys of peers that a folder remembers; none where there is no folder. */
export function knownPeersIn(
  folder: string | undefined,
): KnownPeers | undefined {
  return folder === undefined ? undefined : new KnownPeers(folder);
}

/**
 * True for the id of a device that we know, by its key or from the option `peers`:
 * as the name of another device's service it does not count.
 */
export async function isKnownDevice(
  name: string,
  peers: Readonly<Record<string, unknown>> | undefined,
  knownPeers: KnownPeers | undefined,
): Promise<boolean> {
  return Object.keys(peers ?? {}).some((each) => isSameDevice(each, name)) ||
    await knownPeers?.keyOf(name) !== undefined;
}

/**
 * Tells whether two ids are those of one device. Case does not count, as it does
 * not in names on the network: else another device could be taken for one that
 * we know, by an id that looks like it.
 */
export function isSameDevice(a: string, b: string): boolean {
  return fold(a) === fold(b);
}

/** A device id is any text: one that would not stay on its line is quoted. */
function lineName(deviceId: string): string {
  return /^[^\s"][^\p{Cc}]*$/u.test(deviceId) && deviceId.trim() === deviceId
    ? deviceId
    : JSON.stringify(deviceId);
}

function bytesOf(
  { nonce, deviceId, host, port }: Statement,
): Uint8Array<ArrayBuffer> {
  return encoder.encode(
    JSON.stringify([PURPOSE, nonce, deviceId, host, port]),
  );
}

async function fingerprintOf(
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", publicKey);
  const text = new Uint8Array(hash).toBase64({ omitPadding: true });
  return `SHA256:${text}`;
}

async function readKey(path: string): Promise<CryptoKey | undefined> {
  const pem = await readText(path);
  if (pem === undefined) return undefined;
  try {
    const [, body = ""] =
      /-----BEGIN PRIVATE KEY-----([^-]+)-----END/.exec(pem) ?? [];
    const bytes = Uint8Array.fromBase64(body);
    return await crypto.subtle.importKey("pkcs8", bytes, ALGORITHM, true, [
      "sign",
    ]);
  } catch (cause) {
    throw new Error(
      `Cannot read the key in ${path}: it is no Ed25519 key in PEM format; remove the file to have another one made, which peers will have to accept`,
      { cause },
    );
  }
}

async function makeKey(folder: string, path: string): Promise<CryptoKey> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const bytes = await crypto.subtle.exportKey("pkcs8", privateKey);
  const body = new Uint8Array(bytes).toBase64();
  const pem =
    `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;
  // Whoever finds the file finds all of it, also another process just now.
  const own = `${path}.${crypto.randomUUID()}`;
  try {
    await writeLasting(own, pem);
    await Deno.link(own, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  } finally {
    await Deno.remove(own).catch(() => {});
  }
  return (await readKey(path))!;
}

/**
 * Adds a text to a file, which is made where there is none, so that it is there also
 * when the power is cut right afterwards: an empty key file would have to be removed
 * by hand.
 */
async function writeLasting(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { append: true, mode: 0o600 });
  using file = await Deno.open(path, { append: true });
  await file.sync();
}

/** Limits how long a file may take, in seconds: a pipe or a lost mount never answers. */
const READ_TIMEOUT = 5;

async function readText(path: string): Promise<string | undefined> {
  const end = new AbortController();
  const reading = Deno.readTextFile(path, { signal: end.signal });
  try {
    if (await settledWithin(reading, READ_TIMEOUT)) {
      return await permitted(dirname(path), () => reading);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    // A file that gives nothing would keep the process alive.
    end.abort();
  }
  throw new Deno.errors.TimedOut(
    `Cannot read ${path}: it has given nothing within ${READ_TIMEOUT} s; \`identity\` has to name a folder with files of its own`,
  );
}

/** Does something in the folder of the identity, and tells well what Deno does not permit. */
async function permitted<Value>(
  folder: string,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    throw toldLack(error, {
      attempted: "prove who is who",
      deed: `read and write ${folder}`,
      flag: `--allow-read=${folder} --allow-write=${folder}`,
      instead: "leave `identity` out",
    });
  }
}
