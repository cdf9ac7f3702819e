/**
 * Configuration: Platypush's `config.yaml`, the environment and the command
 * line, and which of them counts.
 *
 * @module
 */
export { ConfigError } from "./config_error.ts";
export { loadConfig, type LoadConfigOptions } from "./load_config.ts";
export { maskSecrets } from "./mask_secrets.ts";
export {
  resolveConfig,
  type ResolveConfigOptions,
  type ResolvedConfig,
} from "./resolve_config.ts";
