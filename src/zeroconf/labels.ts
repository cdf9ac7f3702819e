const encoder = new TextEncoder();

/**
 * The first labels of names. By them a packet is told to concern somebody here,
 * without decoding it, so they follow the names one by one: on a network with
 * many hosts, each packet may bring some.
 */
export class Labels {
  /** The number of names that begin with each. */
  readonly #counts = new Map<string, number>();
  /** The number of names that begin with one of so many bytes. */
  readonly #lengths = new Uint32Array(256);

  /** Adds a name, folded. */
  add(name: string): void {
    this.#count(name, 1);
  }

  /** Takes a name away that was added. */
  delete(name: string): void {
    this.#count(name, -1);
  }

  has(label: string): boolean {
    return this.#counts.has(label);
  }

  /** Tells whether there is a label of so many bytes. */
  hasLength(bytes: number): boolean {
    return this.#lengths[bytes]! > 0;
  }

  #count(name: string, by: 1 | -1): void {
    const [label] = name.split(".", 1) as [string];
    const count = (this.#counts.get(label) ?? 0) + by;
    if (count > 0) this.#counts.set(label, count);
    else this.#counts.delete(label);
    this.#lengths[encoder.encode(label).length]! += by;
  }
}
