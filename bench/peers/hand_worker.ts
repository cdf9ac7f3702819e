/**
 * A worker of `consumer.ts` that reads messages from memory that it shares with
 * the thread that has the connection: from one piece after the other, each for a
 * batch.
 *
 * ```text
 * word 0    messages in it; 0 once they were read, or handled where they are kept
 *      1    place and bytes of message 1, of message 2, …
 *           message 1, message 2, …
 * ```
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CheckedMessage } from "./checked_message.ts";
import { countOne } from "./count.ts";

/** What the worker reads from, and whether messages stay there until they are handled. */
interface Memory {
  readonly boxes: readonly SharedArrayBuffer[];
  readonly isKept: boolean;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Memory>) => void;
  postMessage(message: unknown): void;
};

scope.onmessage = async ({ data: { boxes, isKept } }) => {
  scope.postMessage("listening");
  for (let turn = 0;; turn++) {
    const box = boxes[turn % boxes.length]!;
    const words = new Int32Array(box);
    while (Atomics.load(words, 0) === 0) {
      await Atomics.waitAsync(words, 0, 0).value;
    }
    const texts = Array.from({ length: words[0]! }, (_, i) => {
      const [at, length] = words.subarray(1 + 2 * i);
      return Buffer.from(box, at, length).toString("latin1");
    });
    const release = (): void => {
      Atomics.store(words, 0, 0);
      Atomics.notify(words, 0);
    };
    if (!isKept) release();
    for (const text of texts) {
      const wire = JSON.parse(text);
      countOne((isKept ? new CheckedMessage(wire) : wire).args["sent"]);
    }
    if (isKept) release();
  }
};
