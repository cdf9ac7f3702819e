import { Bus } from "../../src/bus/mod.ts";

/** What the tests let a worker with actions do. */
export type Command =
  | { do: "open"; name: string; group?: string }
  | { do: "register"; action: string; timeout?: number }
  | { do: "unregister"; action: string }
  | { do: "close" };

// Opens the bus and registers actions on it, as it is told. Tells what its
// actions see.
const scope = self as unknown as {
  onmessage: (event: MessageEvent<Command>) => void;
  postMessage(message: unknown): void;
  name: string;
};
let bus: Bus;
const registered = new Map<string, Disposable>();

scope.onmessage = async ({ data }) => {
  switch (data.do) {
    case "open":
      bus = new Bus({
        name: data.name,
        ...(data.group !== undefined && { group: data.group }),
      });
      break;
    case "register": {
      const { action, timeout } = data;
      registered.set(
        action,
        bus.registerAction(action, async (args, request, { signal }) => {
          if (args.fail) throw new TypeError(String(args.fail));
          if (args.hang) {
            scope.postMessage("hangs");
            signal.addEventListener(
              "abort",
              () => scope.postMessage(`aborted: ${signal.reason.name}`),
            );
            await new Promise(() => {});
          }
          return { by: scope.name, args, from: request.origin };
        }, { description: "Says who it is", ...(timeout && { timeout }) }),
      );
      break;
    }
    case "unregister":
      registered.get(data.action)![Symbol.dispose]();
      break;
    case "close":
      await bus.close();
  }
  if (data.do !== "close") await bus.ready();
  scope.postMessage("done");
};
