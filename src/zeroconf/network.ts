import { networkInterfaces } from "node:os";

/** An interface of this host and its addresses. */
export interface NetworkInterface {
  /** The system's name for it, such as `eth0`. */
  readonly name: string;
  /** Whether it leads nowhere but to this host. */
  readonly loopback: boolean;
  /** The IPv4 addresses with their netmasks. */
  readonly ipv4: readonly { address: string; netmask: string }[];
  /** The IPv6 addresses. */
  readonly ipv6: readonly string[];
}

/**
 * Lists the interfaces on which services are announced and looked for.
 *
 * @param only Names or addresses of interfaces. Where it is missing: all that
 * lead to other hosts, or the loopback interface when there is no other.
 * @returns The interfaces that are there and have an address.
 */
export function listInterfaces(only?: readonly string[]): NetworkInterface[] {
  const all = allInterfaces();
  if (only !== undefined) {
    return all.filter(({ name, ipv4, ipv6 }) =>
      only.includes(name) || ipv6.some((address) => only.includes(address)) ||
      ipv4.some(({ address }) => only.includes(address))
    );
  }
  const outward = all.filter(({ loopback }) => !loopback);
  return outward.length > 0 ? outward : all;
}

/** Lists every interface that has an address. */
export function allInterfaces(): NetworkInterface[] {
  const found: NetworkInterface[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses === undefined || addresses.length === 0) continue;
    found.push({
      name,
      loopback: addresses.every(({ internal }) => internal),
      ipv4: addresses.filter(({ family }) => family === "IPv4").map((
        { address, netmask },
      ) => ({ address, netmask })),
      ipv6: addresses.filter(({ family }) => family === "IPv6").map((
        { address },
      ) => address),
    });
  }
  return found;
}

/** Whether this is an address of this host, on any interface. */
export function isOwnAddress(address: string): boolean {
  const plain = address.split("%", 1)[0]!;
  return allInterfaces().some(({ ipv4, ipv6 }) =>
    ipv6.includes(plain) || ipv4.some((own) => own.address === plain)
  );
}

/** The name of what one socket hears: an interface, and one IP version on it. */
export function channelOf(interfaceName: string, address: string): string {
  return `${interfaceName} ${address.includes(":") ? "IPv6" : "IPv4"}`;
}

/** Whether a packet from this address came over this interface's own network. */
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
