import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { readEnvironment } from "../config/find_config_file.ts";
import { UsageError } from "./program.ts";
import { resolveOptions } from "./redis_options.ts";
import type { Destination } from "./sender.ts";
import { filled } from "./values.ts";

/** The secret that the receiver of a request may ask for. */
export function tokenOption(): Parser<"sync", string | undefined, unknown> {
  return optional(option("--token", filled("TOKEN", "a token", "s3cret"), {
    description:
      message`The token that the receiver asks for; "-" asks for it here, which keeps it out of the list of processes. Default: PLATYPUSH_TOKEN, for our own device also the file`,
  }));
}

/**
 * Finds the token of a request: on the command line, at a prompt, in
 * `PLATYPUSH_TOKEN`, and for our own device in the configuration.
 */
export async function tokenOf(
  { token, destination }: {
    readonly token: string | undefined;
    readonly destination: Destination;
  },
  isOwn: boolean,
): Promise<string | undefined> {
  if (token === "-") return promptSecret("Token: ");
  if (token !== undefined) return token;
  const given = readEnvironment("PLATYPUSH_TOKEN");
  if (given !== undefined || !isOwn) return given;
  const configured = (await resolveOptions(destination.redis)).token;
  return typeof configured === "string" ? configured : undefined;
}

/** Asks at the terminal, and does not show what is typed. */
function promptSecret(question: string): string {
  if (!Deno.stdin.isTerminal()) {
    throw new UsageError(
      "--token - asks at the terminal, and there is none; PLATYPUSH_TOKEN works everywhere",
    );
  }
  Deno.stderr.writeSync(new TextEncoder().encode(question));
  const bytes: number[] = [];
  const byte = new Uint8Array(1);
  Deno.stdin.setRaw(true, { cbreak: true });
  try {
    while (Deno.stdin.readSync(byte) === 1) {
      if (byte[0] === 0x0a || byte[0] === 0x0d) break;
      if (byte[0] === 0x7f || byte[0] === 0x08) bytes.pop();
      else bytes.push(byte[0]!);
    }
  } finally {
    Deno.stdin.setRaw(false);
    Deno.stderr.writeSync(new TextEncoder().encode("\n"));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
