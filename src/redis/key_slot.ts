const SLOTS = 16384;

/**
 * The hash slot of a key in a Redis Cluster (Redis Cluster Specification, "Key
 * distribution model"): CRC16 of the part between the first `{` and the next
 * `}`, or of the whole key where that part is missing or empty.
 *
 * @param key The key.
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
