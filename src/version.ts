/** The version of this package, as services announce it. */
export const VERSION = "0.1.0";
