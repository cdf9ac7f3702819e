/** A number, and what it is to Python beyond its value. */
export interface PythonNumber {
  /** Its value as a double. */
  readonly value: number;
  /** What it is as a dict's key in JSON. */
  readonly key: string;
  /** The same for numbers that are equal, and only for them. */
  readonly hash: string;
}

const FLOAT =
  /^(?:\d+(?:_\d+)*\.(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$|^\d+(?:_\d+)*e[+-]?\d+(?:_\d+)*$/i;
const INTEGER =
  /^(?:0x(?:_?[\da-f])+|0o(?:_?[0-7])+|0b(?:_?[01])+|0+(?:_0+)*|[1-9]\d*(?:_\d+)*)$/i;

const FLOAT_NAMES: ReadonlyMap<string, number> = new Map([
  ["nan", NaN],
  ["NaN", NaN],
  ["inf", Infinity],
  ["Infinity", Infinity],
]);

/**
 * Reads a number; the grammar is at `parsePythonLiteral`.
 *
 * @param token The number without its sign.
 * @param sign The sign.
 * @returns The number, or `undefined` if it is none.
 */
export function readPythonNumber(
  token: string,
  sign: 1 | -1,
): PythonNumber | undefined {
  const named = FLOAT_NAMES.get(token);
  if (named !== undefined) return float(sign * named);
  const digits = token.replaceAll("_", "");
  if (INTEGER.test(token)) return integer(digits, sign);
  if (FLOAT.test(token)) return float(sign * Number(digits));
  return undefined;
}

function integer(digits: string, sign: 1 | -1): PythonNumber {
  // Python's integers have no -0.
  const value = sign * Number(digits) + 0;
  const key = Number.isSafeInteger(value)
    ? String(value)
    : String(BigInt(sign) * BigInt(digits));
  return { value, key, hash: `n${key}` };
}

function float(value: number): PythonNumber {
  const hash = Number.isInteger(value) ? `n${BigInt(value)}` : `n${value}`;
  return { value, key: pythonFloat(value), hash };
}

/** A float as Python writes it, which differs from JavaScript in the form of the exponent and in `.0`. */
function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponent] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 16) {
    return Number.isInteger(value) ? `${value}.0` : String(value);
  }
  const sign = power < 0 ? "-" : "+";
  return `${mantissa}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}
