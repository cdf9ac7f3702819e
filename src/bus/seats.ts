import type { Deliver } from "./delivery.ts";
import type { Subscriber } from "./subscriber.ts";

/** A `Bus` on a hub. */
export interface Seat {
  /** Its subscriptions. */
  readonly subscriber: Subscriber;
  /** Something has gone wrong that its user should know. */
  onError(error: Error): void;
  /** There are more or fewer subscribers. */
  onSubscribers(): void;
}

/** The seats of a hub: all buses of one name in an isolate. */
export class Seats {
  // Replaced, never changed, so that a handler may open or close a bus meanwhile.
  #seats: readonly Seat[] = [];

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#seats.length === 0;
  }

  /** Whether anybody listens. */
  get listening(): boolean {
    return this.#seats.some(({ subscriber }) => subscriber.listening);
  }

  /** Adds a seat. */
  add(seat: Seat): void {
    this.#seats = [...this.#seats, seat];
  }

  /**
   * Takes a seat away.
   *
   * @returns Whether it was there.
   */
  delete(seat: Seat): boolean {
    const isThere = this.#seats.includes(seat);
    this.#seats = this.#seats.filter((other) => other !== seat);
    return isThere;
  }

  /**
   * When the subscribers have room for more.
   *
   * @param except Whose subscriber is not waited for.
   * @returns `undefined` if they have now, which saves a turn.
   */
  room(except?: Seat): Promise<void> | undefined {
    const others = this.#seats.filter((seat) => seat !== except);
    if (others.every(({ subscriber }) => !subscriber.full)) return undefined;
    return this.#wait(others);
  }

  /** Hands a message to every subscriber. */
  readonly deliver: Deliver = (message, index, delivery) => {
    for (const { subscriber } of this.#seats) {
      subscriber.deliver(message, index, delivery);
    }
  };

  /** Fails what handlers have taken too long for. */
  expire(): void {
    for (const { subscriber } of this.#seats) subscriber.expire();
  }

  /** Ends the loops, and whoever waits for a message. */
  endQueues(error: Error): void {
    for (const { subscriber } of this.#seats) subscriber.endQueues(error);
  }

  /** Something has gone wrong that everybody should know. */
  onError(error: Error): void {
    for (const seat of this.#seats) seat.onError(error);
  }

  /** There are more or fewer subscribers. */
  onSubscribers(): void {
    for (const seat of this.#seats) seat.onSubscribers();
  }

  async #wait(seats: readonly Seat[]): Promise<void> {
    for (const { subscriber } of seats) {
      while (subscriber.full) await subscriber.room();
    }
  }
}
