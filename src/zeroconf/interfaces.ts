import { networkInterfaces } from "node:os";
import { toldLack } from "../permission.ts";

/** An interface of this host and its addresses. */
export interface NetworkInterface {
  /** The system's name for it, such as `eth0`. */
  readonly name: string;
  /** True if it leads nowhere but to this host. */
  readonly loopback: boolean;
  /** The IPv4 addresses with their netmasks. */
  readonly ipv4: readonly { address: string; netmask: string }[];
  /** The IPv6 addresses. */
  readonly ipv6: readonly string[];
  /**
   * Changes when the interface was made anew, and where the system lets us see
   * it when its cable was out, however briefly.
   */
  readonly link?: string;
}

/**
 * Chooses the interfaces on which services are advertised and looked for.
 *
 * @param all Every interface that has an address.
 * @param only Names or addresses of interfaces. Where it is missing: all that
 * lead to other hosts, or the loopback interface when there is no other.
 * @returns Those of all that are meant.
 */
export function chooseInterfaces(
  all: readonly NetworkInterface[],
  only?: readonly string[],
): NetworkInterface[] {
  if (only !== undefined) {
    return all.filter((each) =>
      [each.name, ...addressesOf(each)].some((name) => only.includes(name))
    );
  }
  const outward = all.filter(({ loopback }) => !loopback);
  return outward.length > 0 ? outward : [...all];
}

/** Lists the addresses of an interface, those of IPv4 first. */
export function addressesOf({ ipv4, ipv6 }: NetworkInterface): string[] {
  return [...ipv4.map(({ address }) => address), ...ipv6];
}

/** Lists every interface that has an address. */
export function allInterfaces(): NetworkInterface[] {
  const found: NetworkInterface[] = [];
  for (const [name, addresses] of Object.entries(listed())) {
    if (addresses === undefined || addresses.length === 0) continue;
    const ipv6 = addresses.filter((each) => each.family === "IPv6");
    found.push({
      name,
      loopback: addresses.every(({ internal }) => internal),
      ipv4: addresses.filter(({ family }) => family === "IPv4").map((
        { address, netmask },
      ) => ({ address, netmask })),
      ipv6: ipv6.map(({ address }) => address),
      link: [
        addresses[0]!.mac,
        // The number of the interface: a new one under an old name has another.
        ipv6.find(({ scopeid }) => scopeid)?.scopeid,
        carrierOf(name),
      ].join(),
    });
  }
  return found;
}

function listed(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces();
  } catch (error) {
    throw toldLack(error, {
      attempted: "use multicast",
      deed: "list the network interfaces",
      flag: "--allow-sys=networkInterfaces",
      instead: "do without Zeroconf",
    });
  }
}

/**
 * Reads how often the cable came and went. The system tells it in `/sys`, which
 * Deno shows to programs that may do everything, and to no others.
 */
function carrierOf(name: string): string | undefined {
  if (!/^[\w.:@-]+$/.test(name) || !maySeeCarriers()) return undefined;
  try {
    const read = (file: string): string =>
      Deno.readTextFileSync(`/sys/class/net/${name}/${file}`).trim();
    return `${read("carrier")} ${read("carrier_changes")}`;
  } catch {
    return undefined;
  }
}

let seesCarriers: boolean | undefined;

function maySeeCarriers(): boolean {
  return seesCarriers ??= Deno.build.os === "linux" &&
    Deno.permissions.querySync({ name: "read" }).state === "granted";
}

export function isSameInterface(
  a: NetworkInterface | undefined,
  b: NetworkInterface | undefined,
): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The name of what one socket hears: an interface, and one IP version on it. */
export function channelOf(interfaceName: string, address: string): string {
  return `${interfaceName} ${address.includes(":") ? "IPv6" : "IPv4"}`;
}

/** Tells whether an address of IPv6 needs a zone to be of use (RFC 4291, section 2.5.6). */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

/** Tells whether a host may have an address: it is not unspecified, for many, or reserved. */
export function mayBeHost(address: string): boolean {
  return !/^(?:0|22[4-9]|2[3-9]\d)\.|^::$|^ff[0-9a-f]{2}:/i.test(address);
}

/**
 * Tells whether an IPv4 packet from this address came over this interface's own
 * network.
 */
export function isOnLink(
  { ipv4 }: NetworkInterface,
  source: string,
): boolean {
  const from = toNumber(source);
  return ipv4.some(({ address, netmask }) => {
    const mask = toNumber(netmask);
    return (toNumber(address) & mask) === (from & mask);
  });
}

function toNumber(address: string): number {
  return address.split(".").reduce((all, part) => all << 8 | Number(part), 0);
}
