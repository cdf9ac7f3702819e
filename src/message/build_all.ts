import {
  type BuildOptions,
  Message,
  type MessageInput,
  readWire,
} from "./message.ts";
import { MAX_SIZE } from "./parse_text.ts";
import { isJoinable, MAX_LENGTH, parseTexts } from "./parse_texts.ts";

/**
 * Builds many messages, which is faster than to build one after the other.
 *
 * @param inputs What {@linkcode Message.build} takes.
 * @param options The device's id and the size limit, for all of them.
 * @returns For each input the message, or the error that `build` throws for it.
 */
export function buildAll(
  inputs: readonly MessageInput[],
  options: BuildOptions = {},
): (Message | Error)[] {
  const wires = parseAll(inputs, options.maxSize ?? MAX_SIZE);
  return inputs.map((input, index) => {
    const wire = wires[index];
    try {
      return wire === undefined
        ? Message.build(input, options)
        : readWire(wire, options);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  });
}

/** The JSON values of those inputs that can be read together, in their places. */
function parseAll(inputs: readonly MessageInput[], maxSize: number): unknown[] {
  const wires = new Array<unknown>(inputs.length);
  // A character takes up to three bytes.
  if (inputs.length < 2 || maxSize < 3 * MAX_LENGTH) return wires;
  const kind = typeof inputs[0];
  const places: number[] = [];
  const texts: (string | Uint8Array)[] = [];
  for (let place = 0; place < inputs.length; place++) {
    const input = inputs[place]!;
    if (typeof input !== kind || !isJoinable(input)) continue;
    places.push(place);
    texts.push(input);
  }
  const values = texts.length < 2 ? undefined : parseTexts(texts as string[]);
  values?.forEach((value, index) => wires[places[index]!] = value);
  return wires;
}
