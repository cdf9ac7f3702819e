import { ConfigError } from "./config_error.ts";
import { formatPlace, type Place } from "./entry.ts";
import type { Environment } from "./environment.ts";

const PATTERN = /\$(\$?)\{([A-Za-z_]\w*)(?::-([^{}]*))?\}/g;

/**
 * Replaces `${NAME}` and `${NAME:-default}` by environment variables; `$${NAME}`
 * stands for `${NAME}` itself.
 *
 * @param text The text from the file.
 * @param environment Where variables are looked up.
 * @throws {ConfigError} If a variable is not set and has no default.
 */
export function interpolate(
  text: string,
  environment: Environment,
  place: Place,
): string {
  return text.replace(
    PATTERN,
    (whole, escape: string, name: string, byDefault?: string) => {
      if (escape !== "") return whole.slice(1);
      const value = environment(name) ?? byDefault;
      if (value !== undefined) return value;
      throw new ConfigError(
        `${
          formatPlace(place)
        }: the environment variable ${name} is not set, or may not be read ` +
          `without --allow-env=${name}; set it, or write \${${name}:-default}. ` +
          "Where the text itself is meant, a second $ in front says so",
      );
    },
  );
}
