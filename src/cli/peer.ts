import {
  discover,
  type RedisArgs,
  RedisBackend,
  type RedisBackendOptions,
  type ServiceInfo,
} from "../../mod.ts";

/**
 * Opens a backend on the Redis of a peer, where the responses of the peer are.
 *
 * @param name The peer's device id, or the name of its service.
 * @param options Our own; who we are on our own Redis, we are on the peer's.
 * @param signal Ends the search.
 * @throws {DOMException} A `NotFoundError` if there is no such peer.
 */
export async function openAtPeer(
  name: string,
  options: RedisBackendOptions,
  signal: AbortSignal,
): Promise<{ backend: RedisBackend; target: string }> {
  const { deviceId, redisUrl, queue } = await findPeer(name, signal);
  if (redisUrl === undefined) {
    throw new DOMException(
      `The peer "${name}" does not say where the network reaches its Redis`,
      "NotFoundError",
    );
  }
  const backend = new RedisBackend({
    ...options,
    redisArgs: { ...personal(options.redisArgs ?? {}), url: redisUrl },
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

/**
 * The user and the password of a URL. `URL` refuses those without a host, such as
 * `unix://user:password@/path`, and shows all of them in its error.
 */
const USER = /^\w+:\/\/([^:@/?#]*)(?::([^@/?#]*))?@/;

/** What holds for every server: who we are, and how TLS is spoken. */
function personal(redisArgs: RedisArgs): RedisArgs {
  const {
    url,
    host: _host,
    port: _port,
    db: _db,
    unix_socket_path: _path,
    sentinels: _sentinels,
    serviceName: _service,
    sentinelUsername: _user,
    sentinelPassword: _password,
    cluster: _cluster,
    ...others
  } = redisArgs;
  if (url === undefined) return others;
  const [, username, password] = USER.exec(url) ?? [];
  return {
    ...others,
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  };
}
