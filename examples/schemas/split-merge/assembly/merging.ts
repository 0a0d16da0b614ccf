import { Call } from "surety/call";

/** The numbers of all parts, rising, as bytes. */
export function merge(cids: string[], call: Call): Uint8Array {
  const parts: Uint32Array[] = [];
  const places: i32[] = [];
  let count = 0;
  for (let i = 0; i < cids.length; i++) {
    parts.push(Uint32Array.wrap(call.content(cids[i], "numbers").buffer));
    places.push(0);
    count += parts[i].length;
  }
  const merged = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    let least = -1;
    for (let k = 0; k < parts.length; k++) {
      if (places[k] == parts[k].length) continue;
      if (least < 0 || parts[k][places[k]] < parts[least][places[least]]) least = k;
    }
    merged[i] = parts[least][places[least]++];
  }
  return Uint8Array.wrap(merged.buffer);
}
