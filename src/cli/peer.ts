import {
  discover,
  peerRedisArgs,
  RedisBackend,
  type RedisBackendOptions,
  type ServiceInfo,
} from "../../mod.ts";

/**
 * Opens a backend on the Redis of a peer, where the responses of the peer are.
 *
 * @param name The peer's device id, or the name of its service.
 * @param options Our own; its `peers` say who we are on the peer's Redis.
 * @throws {DOMException} A `NotFoundError` if there is no such peer.
 * @throws {RedisError} The peer may not be shown what it was given.
 */
export async function openAtPeer(
  name: string,
  options: RedisBackendOptions,
  signal: AbortSignal,
): Promise<{ backend: RedisBackend; target: string }> {
  const peer = await findPeer(name, signal);
  const { deviceId, redisUrl, queue } = peer;
  if (redisUrl === undefined) {
    throw new DOMException(
      `The peer "${name}" does not say where the network reaches its Redis`,
      "NotFoundError",
    );
  }
  const backend = new RedisBackend({
    ...options,
    redisArgs: peerRedisArgs(
      peer,
      options.redisArgs ?? {},
      options.peers?.[deviceId],
    ),
    queue,
  });
  return { backend, target: deviceId };
}

async function findPeer(
  name: string,
  signal: AbortSignal,
): Promise<ServiceInfo> {
  const peers = await discover({ signal });
  const isNamed = (peer: ServiceInfo): boolean =>
    [name, `${name}.`, `${name}.${peer.type}`].includes(peer.name);
  const peer = peers.find(isNamed) ??
    peers.find(({ deviceId }) => deviceId === name);
  if (peer !== undefined) return peer;
  signal.throwIfAborted();
  const seen = peers.map(({ deviceId }) => `"${deviceId}"`).join(", ");
  throw new DOMException(
    `There is no peer "${name}" on the local network, only ${seen || "nobody"}`,
    "NotFoundError",
  );
}
