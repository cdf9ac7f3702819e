/** The receiving side of bench/bus.ts. */
import { Bus, Event, Message } from "../src/bus/mod.ts";
import { Mailbox } from "./mailbox.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
};

/** The numbers of the messages begin again after so many. */
const POOL = 64 * 256;

let bus: Bus | undefined;
let count = 0;
let disorder = 0;

function take(message: Message): void {
  const { n } = (message as Event).args;
  if (n !== count++ % POOL) disorder++;
}

function takeAll(objects: Record<string, unknown>[]): void {
  for (const object of objects) take(Message.build(object));
}

/** Takes the batches that come in two mailboxes in turn. */
async function takeMail(mailboxes: readonly Mailbox[]): Promise<void> {
  for (let n = 0;; n++) {
    const batch = await mailboxes[n % mailboxes.length]!.read();
    takeAll(batch as Record<string, unknown>[]);
  }
}

/** Answers what comes in one mailbox in the other one. */
async function echoMail([there, back]: readonly Mailbox[]): Promise<void> {
  for (;;) await back!.write(await there!.read());
}

function block(seconds: number): void {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end);
}

scope.onmessage = async ({ data }) => {
  if (Array.isArray(data)) return takeAll(data);
  switch (data.do) {
    case "bus":
      bus = new Bus({ name: data.name, plain: false });
      bus.registerHandler(Event, take);
      await bus.ready();
      break;
    case "echo": {
      const echo = bus!;
      echo.registerHandler("bench.Ping", () => {
        echo.post({ type: "event", target: "-", args: { type: "bench.Pong" } });
      });
      break;
    }
    case "channel": {
      const channel = new BroadcastChannel(data.name);
      channel.onmessage = ({ data }) => {
        takeAll(data);
        channel.postMessage("ack");
      };
      break;
    }
    case "mail":
    case "echo mail": {
      const mailboxes = data.memory.map((one: SharedArrayBuffer) =>
        new Mailbox(one)
      );
      if (data.do === "mail") takeMail(mailboxes);
      else echoMail(mailboxes);
      break;
    }
    case "block":
      scope.postMessage("it begins");
      return block(data.seconds);
    case "ping":
      break;
    case "report":
      scope.postMessage({ count, disorder });
      count = disorder = 0;
      return;
  }
  scope.postMessage("done");
};
