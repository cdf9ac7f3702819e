import type { Settings } from "../redis/redis_args.ts";
import { failure, type Finding, ok, warning } from "./finding.ts";

/** The oldest version that has everything needed: Web Locks. */
const OLDEST = [2, 9] as const;

/** Looks at the version of Deno. */
export function checkDeno(version: string = Deno.version.deno): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isRecent = major > OLDEST[0] ||
    (major === OLDEST[0] && minor >= OLDEST[1]);
  return isRecent ? ok("deno", `Deno ${version}.`) : failure(
    "deno",
    `Deno ${version} is too old.`,
    `Upgrade to ${OLDEST.join(".")} or newer: deno upgrade`,
  );
}

/** Looks at what this process may do. */
export async function* checkPermissions(
  { address, sentinel, cluster, tls }: Settings,
): AsyncGenerator<Finding> {
  const missing: string[] = [];
  const check = async (
    flag: string,
    descriptor: Deno.PermissionDescriptor,
  ): Promise<void> => {
    const { state } = await Deno.permissions.query(descriptor);
    if (state !== "granted") missing.push(flag);
  };
  for (const server of sentinel?.addresses ?? cluster ?? [address]) {
    if ("path" in server) {
      const { path } = server;
      await check(`--allow-read=${path}`, { name: "read", path });
      await check(`--allow-write=${path}`, { name: "write", path });
    } else {
      const host = `${server.host}:${server.port}`;
      await check(`--allow-net=${host}`, { name: "net", host });
    }
  }
  for (const path of [tls?.caFile, tls?.certFile, tls?.keyFile]) {
    if (path !== undefined) {
      await check(`--allow-read=${path}`, { name: "read", path });
    }
  }
  if (missing.length > 0) {
    yield failure(
      "permissions",
      "Deno does not let this program reach Redis.",
      `Add to \`deno run\`: ${missing.join(" ")}`,
    );
    missing.length = 0;
  }
  await check("--allow-net", { name: "net" });
  await check("--allow-sys", { name: "sys" });
  await check("--allow-env", { name: "env" });
  yield missing.length === 0
    ? ok("permissions", "Network, system information and environment.")
    : warning(
      "permissions",
      "Deno does not permit everything that Zeroconf, the host's name as the device id, and settings from the environment need.",
      `Add to \`deno run\`: ${missing.join(" ")}`,
    );
}
