/** What a handler by hand gets, with the fields that every message has. */
export class CheckedMessage {
  readonly type: unknown;
  readonly target: unknown;
  readonly origin: unknown;
  readonly id: unknown;
  readonly timestamp: unknown;
  readonly args: Readonly<Record<string, unknown>>;

  constructor(wire: Readonly<Record<string, unknown>>) {
    this.type = wire["type"];
    this.target = wire["target"];
    this.origin = wire["origin"];
    this.id = wire["id"];
    this.timestamp = wire["_timestamp"];
    this.args = wire["args"] as Readonly<Record<string, unknown>>;
    const texts = [this.type, this.target, this.origin, this.id];
    const isMessage = texts.every((text) => typeof text === "string") &&
      Number.isFinite(this.timestamp) && typeof this.args === "object";
    if (!isMessage) throw new TypeError("That is no message");
  }
}
