import { Sockets } from "./sockets.ts";
import { sleep } from "../waiting.ts";

/**
 * Asks the network a question that nobody answers, and listens for it.
 *
 * @param interfaceName The interface on which to ask.
 * @param timeout How long the packet may take, in seconds.
 * @returns What does not work, or `undefined` where the packet came back.
 */
export async function hearOurselves(
  interfaceName: string,
  timeout: number,
): Promise<string | undefined> {
  const question = `_${crypto.randomUUID().slice(0, 13)}._tcp.local`;
  const heard = new AbortController();
  let problem: string | undefined;
  const note = (text: string): void => void (problem ??= text);
  const sockets = new Sockets({
    interfaces: [interfaceName],
    logger: { debug: note, info: () => {}, warn: note, error: note },
    onNetworkChange: () => {},
    onMessage: ({ questions }) => {
      if (questions.some(({ name }) => name === question)) heard.abort();
    },
  });
  try {
    await sockets.open();
    sockets.send({
      type: "query",
      questions: [{ name: question, type: "PTR" }],
    });
    if (sockets.networks.length > 0) {
      await sleep(timeout, { signal: heard.signal });
    }
  } catch (error) {
    note((error as Error).message);
  } finally {
    await sockets.close();
  }
  if (heard.signal.aborted) return undefined;
  return (problem ?? "Our own packets do not come back").replace(/\.$/, "");
}
