/**
 * How many bytes FastLZ at level 1 makes of something, without making them: what the Fjord specification of OP Stack's
 * rollups estimates a transaction's share in a batch from. Equal to what their nodes compute, quirks included.
 */
export function fastLzLength(bytes: Uint8Array): number {
  const table = new Uint32Array(8_192);
  const three = (at: number): number => bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
  const hash = (value: number): number => (Math.imul(2_654_435_769, value) >>> 19) & 0x1fff;
  let length = 0;
  const literals = (count: number): void => {
    length += 0x21 * Math.floor(count / 0x20);
    if (count % 0x20 !== 0) length += (count % 0x20) + 1;
  };
  const match = (count: number): void => {
    length += 3 * Math.floor((count - 1) / 262) + ((count - 1) % 262 >= 6 ? 3 : 2);
  };
  const remember = (at: number): number => {
    table[hash(three(at))] = at;
    return at + 1;
  };
  const common = (earlier: number, later: number, end: number): number => {
    let count = 0;
    while (later + count < end && bytes[earlier + count] === bytes[later + count]) count += 1;
    // The byte that differs is counted, too.
    return later + count < end ? count + 1 : count;
  };
  const limit = bytes.length < 13 ? 0 : bytes.length - 13;
  let anchor = 0;
  for (let at = 2; at < limit;) {
    let earlier: number;
    for (;;) {
      const value = three(at);
      const place = hash(value);
      earlier = table[place]!;
      table[place] = at;
      const distance = at - earlier;
      if (at >= limit) break;
      at += 1;
      if (distance <= 0x1fff && value === three(earlier)) break;
    }
    if (at >= limit) break;
    at -= 1;
    if (at > anchor) literals(at - anchor);
    const count = common(earlier + 3, at + 3, limit + 9);
    match(count);
    at = remember(remember(at + count));
    anchor = at;
  }
  literals(bytes.length - anchor);
  return length;
}
