import { allInterfaces } from "../zeroconf/interfaces.ts";
import { hearOurselves } from "../zeroconf/sockets.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

/** The time that a packet to ourselves may take, in seconds. */
const TIMEOUT = 1;

/**
 * Looks at whether multicast works, by which Zeroconf finds and announces: on
 * each interface it joins the group and listens for its own packet.
 */
export async function* checkMulticast(): AsyncGenerator<Finding> {
  const interfaces = allInterfaces();
  const heard = await Promise.all(
    interfaces.map(({ name }) => hearOurselves(name, TIMEOUT)),
  );
  const isAnyHeard = heard.includes(undefined);
  const names = interfaces.filter((_, index) => heard[index] === undefined)
    .map(({ name }) => name);
  if (isAnyHeard) yield ok("multicast", `Works on ${names.join(", ")}.`);
  for (const [index, problem] of heard.entries()) {
    if (problem === undefined) continue;
    yield (isAnyHeard ? warning : failure)(
      "multicast",
      `Does not work on ${interfaces[index]!.name}: ${problem}.`,
      "Let UDP port 5353 and 224.0.0.251 pass the firewall; in a container, use the host's network. Without it, nobody is found and nothing announced there.",
    );
  }
  if (interfaces.length === 0) {
    yield failure(
      "multicast",
      "There is no network interface with an address.",
      "Connect to a network, or switch the loopback interface on: ip link set lo up",
    );
  }
}
