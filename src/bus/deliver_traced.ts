import { Processing, type Reception } from "../telemetry/mod.ts";
import { type Deliver, Delivery } from "./delivery.ts";

/**
 * Delivers messages so that each one is a span in which its handlers run.
 *
 * @param deliver How to deliver them.
 * @param reception How they came here.
 */
export function deliverTraced(deliver: Deliver, reception: Reception): Deliver {
  return (message, index, whole) => {
    const processing = new Processing(message, reception);
    whole.begin();
    const delivery = new Delivery((failures) => {
      for (const failure of failures) whole.fail(failure);
      whole.finish();
      processing.end(failures[0]?.error);
    });
    try {
      processing.run(() => deliver(message, index, delivery));
    } finally {
      delivery.finish();
    }
  };
}
