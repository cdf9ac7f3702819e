import { trace } from "@opentelemetry/api";
import { Bus, inTraceOf } from "../../src/bus/mod.ts";

const bus = new Bus();
const tracer = trace.getTracer("app");
const messages = bus[Symbol.asyncIterator]();
let next = messages.next();
await bus.ready();
(self as unknown as Worker).postMessage("ready");
for (;;) {
  const { value: message, done } = await next;
  if (done) break;
  inTraceOf(message, () => tracer.startSpan("worker").end());
  next = messages.next();
}
