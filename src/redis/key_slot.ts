/** The number of hash slots of a cluster. */
const SLOTS = 16384;

/**
 * Computes the hash slot of a key in a Redis Cluster (Redis Cluster
 * Specification, "Key distribution model"): the CRC16 of the part between the
 * first `{` and the next `}`. Where that part is missing or empty, the whole
 * key counts.
 *
 * @returns The slot, from 0 to 16383.
 */
export function keySlot(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  const tag = close > open + 1 ? key.slice(open + 1, close) : key;
  return crc16(new TextEncoder().encode(tag)) % SLOTS;
}

/** CRC-16/XMODEM: polynomial 0x1021, start value 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
  }
  return crc;
}
