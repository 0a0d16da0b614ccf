/** How an instruction is followed by its immediates. */
export type Immediate =
  | "none"
  | "index" // one unsigned LEB128
  | "indices" // two of them
  | "memory" // alignment and offset
  | "memory-lane"
  | "lane"
  | "leb" // a constant
  | "bytes4"
  | "bytes8"
  | "bytes16"
  | "types" // a vector of value types
  | "reference"; // one value type

/** Shape of the float an arithmetic instruction makes, whose NaN bits hardware is free to choose. */
export type FloatShape = "f32" | "f64" | "f32x4" | "f64x2";

/** What the meter knows about an instruction that is not control flow. */
export interface Operation {
  immediate: Immediate;
  pops: number;
  pushes: number;
  /** Units of fuel. */
  cost: number;
  /** Set where the result may be a NaN with bits the specification leaves open. */
  makesNaN?: FloatShape;
  /** True where an operand's NaN bits make no difference to the result: arithmetic, comparisons, conversions to integers. */
  ignoresNaN?: boolean;
}

const operations = new Map<number, Operation>();

function define(from: number, to: number, shape: [pops: number, pushes: number], more: Partial<Operation> = {}): void {
  for (let code = from; code <= to; code++) {
    operations.set(code, { immediate: "none", pops: shape[0], pushes: shape[1], cost: 1, ...more });
  }
}

const indifferent = { ignoresNaN: true };
const makes = (shape: FloatShape, cost = 1): Partial<Operation> => ({ makesNaN: shape, ignoresNaN: true, cost });
/** Division and square root take many times an addition. */
const slow = 8;

define(0x01, 0x01, [0, 0], { cost: 0 }); // nop
define(0x1a, 0x1a, [1, 0], indifferent); // drop
define(0x1b, 0x1b, [3, 1]); // select
define(0x1c, 0x1c, [3, 1], { immediate: "types" });
define(0x20, 0x20, [0, 1], { immediate: "index" }); // local.get
define(0x21, 0x21, [1, 0], { immediate: "index" });
define(0x22, 0x22, [1, 1], { immediate: "index" });
define(0x23, 0x23, [0, 1], { immediate: "index" }); // global.get
define(0x24, 0x24, [1, 0], { immediate: "index" });
define(0x25, 0x25, [1, 1], { immediate: "index" }); // table.get
define(0x26, 0x26, [2, 0], { immediate: "index" });
define(0x28, 0x35, [1, 1], { immediate: "memory" }); // loads
define(0x36, 0x3e, [2, 0], { immediate: "memory" }); // stores
define(0x3f, 0x3f, [0, 1], { immediate: "index" }); // memory.size
define(0x40, 0x40, [1, 1], { immediate: "index", cost: 64 }); // memory.grow
define(0x41, 0x42, [0, 1], { immediate: "leb" });
define(0x43, 0x43, [0, 1], { immediate: "bytes4" });
define(0x44, 0x44, [0, 1], { immediate: "bytes8" });
define(0x45, 0x45, [1, 1]);
define(0x46, 0x4f, [2, 1]);
define(0x50, 0x50, [1, 1]);
define(0x51, 0x5a, [2, 1]);
define(0x5b, 0x66, [2, 1], indifferent); // float comparisons
define(0x67, 0x69, [1, 1]);
define(0x6a, 0x78, [2, 1]);
define(0x6d, 0x70, [2, 1], { cost: slow }); // i32 division
define(0x79, 0x7b, [1, 1]);
define(0x7c, 0x8a, [2, 1]);
define(0x7f, 0x82, [2, 1], { cost: slow }); // i64 division
define(0x8b, 0x8c, [1, 1]); // abs and neg touch the sign bit only
define(0x8d, 0x90, [1, 1], makes("f32"));
define(0x91, 0x91, [1, 1], makes("f32", slow));
define(0x92, 0x97, [2, 1], makes("f32"));
define(0x95, 0x95, [2, 1], makes("f32", slow));
define(0x98, 0x98, [2, 1]); // copysign
define(0x99, 0x9a, [1, 1]);
define(0x9b, 0x9e, [1, 1], makes("f64"));
define(0x9f, 0x9f, [1, 1], makes("f64", slow));
define(0xa0, 0xa5, [2, 1], makes("f64"));
define(0xa3, 0xa3, [2, 1], makes("f64", slow));
define(0xa6, 0xa6, [2, 1]);
define(0xa7, 0xa7, [1, 1]);
define(0xa8, 0xab, [1, 1], indifferent);
define(0xac, 0xad, [1, 1]);
define(0xae, 0xb1, [1, 1], indifferent);
define(0xb2, 0xb5, [1, 1]);
define(0xb6, 0xb6, [1, 1], makes("f32"));
define(0xb7, 0xba, [1, 1]);
define(0xbb, 0xbb, [1, 1], makes("f64"));
define(0xbc, 0xc4, [1, 1]); // reinterpretations, sign extensions
define(0xd0, 0xd0, [0, 1], { immediate: "reference" }); // ref.null
define(0xd1, 0xd1, [1, 1]);
define(0xd2, 0xd2, [0, 1], { immediate: "index" });

/** Operations behind the prefix 0xfc stand at 0x1000 and up, those behind 0xfd at 0x2000 and up. */
export const bulkBase = 0x1000;
const bulk = (from: number, to: number, shape: [number, number], more: Partial<Operation> = {}): void =>
  define(bulkBase + from, bulkBase + to, shape, more);
bulk(0, 7, [1, 1], indifferent); // saturating conversions
bulk(8, 8, [3, 0], { immediate: "indices", cost: 16 }); // memory.init
bulk(9, 9, [0, 0], { immediate: "index" });
bulk(10, 10, [3, 0], { immediate: "indices", cost: 16 }); // memory.copy
bulk(11, 11, [3, 0], { immediate: "index", cost: 16 }); // memory.fill
bulk(12, 12, [3, 0], { immediate: "indices", cost: 16 }); // table.init
bulk(13, 13, [0, 0], { immediate: "index" });
bulk(14, 14, [3, 0], { immediate: "indices", cost: 16 }); // table.copy
bulk(16, 16, [0, 1], { immediate: "index" }); // table.size
bulk(17, 17, [3, 0], { immediate: "index", cost: 16 }); // table.fill

/** See {@link bulkBase}. */
export const vectorBase = 0x2000;
const vector = (from: number, to: number, shape: [number, number], more: Partial<Operation> = {}): void =>
  define(vectorBase + from, vectorBase + to, shape, more);
vector(0x00, 0x0a, [1, 1], { immediate: "memory" });
vector(0x0b, 0x0b, [2, 0], { immediate: "memory" });
vector(0x0c, 0x0c, [0, 1], { immediate: "bytes16" });
vector(0x0d, 0x0d, [2, 1], { immediate: "bytes16" });
vector(0x0e, 0x0e, [2, 1]);
vector(0x0f, 0x14, [1, 1]);
vector(0x15, 0x22, [1, 1], { immediate: "lane" });
for (const replace of [0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22]) vector(replace, replace, [2, 1], { immediate: "lane" });
vector(0x23, 0x40, [2, 1]);
vector(0x41, 0x4c, [2, 1], indifferent); // float comparisons
vector(0x4d, 0x4d, [1, 1]);
vector(0x4e, 0x51, [2, 1]);
vector(0x52, 0x52, [3, 1]);
vector(0x53, 0x53, [1, 1]);
vector(0x54, 0x57, [2, 1], { immediate: "memory-lane" });
vector(0x58, 0x5b, [2, 0], { immediate: "memory-lane" });
vector(0x5c, 0x5d, [1, 1], { immediate: "memory" });
vector(0x5e, 0x5e, [1, 1], makes("f32x4"));
vector(0x5f, 0x5f, [1, 1], makes("f64x2"));
vector(0x60, 0x64, [1, 1]);
vector(0x65, 0x66, [2, 1]);
vector(0x67, 0x6a, [1, 1], makes("f32x4"));
vector(0x6b, 0x73, [2, 1]);
vector(0x74, 0x75, [1, 1], makes("f64x2"));
vector(0x76, 0x79, [2, 1]);
vector(0x7a, 0x7a, [1, 1], makes("f64x2"));
vector(0x7b, 0x7b, [2, 1]);
vector(0x7c, 0x81, [1, 1]);
vector(0x82, 0x82, [2, 1]);
vector(0x83, 0x84, [1, 1]);
vector(0x85, 0x86, [2, 1]);
vector(0x87, 0x8a, [1, 1]);
vector(0x8b, 0x93, [2, 1]);
vector(0x94, 0x94, [1, 1], makes("f64x2"));
vector(0x95, 0x99, [2, 1]);
vector(0x9b, 0x9f, [2, 1]);
vector(0xa0, 0xa1, [1, 1]);
vector(0xa3, 0xa4, [1, 1]);
vector(0xa7, 0xaa, [1, 1]);
for (const [from, to] of [
  [0xab, 0xae],
  [0xb1, 0xb1],
  [0xb5, 0xba],
  [0xbc, 0xbf],
] as const)
  vector(from, to, [2, 1]);
vector(0xc0, 0xc1, [1, 1]);
vector(0xc3, 0xc4, [1, 1]);
vector(0xc7, 0xca, [1, 1]);
for (const [from, to] of [
  [0xcb, 0xce],
  [0xd1, 0xd1],
  [0xd5, 0xdf],
] as const)
  vector(from, to, [2, 1]);
vector(0xe0, 0xe1, [1, 1]);
vector(0xe3, 0xe3, [1, 1], makes("f32x4", slow));
vector(0xe4, 0xe9, [2, 1], makes("f32x4"));
vector(0xe7, 0xe7, [2, 1], makes("f32x4", slow));
vector(0xea, 0xeb, [2, 1]); // pmin and pmax hand an operand on as it is
vector(0xec, 0xed, [1, 1]);
vector(0xef, 0xef, [1, 1], makes("f64x2", slow));
vector(0xf0, 0xf5, [2, 1], makes("f64x2"));
vector(0xf3, 0xf3, [2, 1], makes("f64x2", slow));
vector(0xf6, 0xf7, [2, 1]);
vector(0xf8, 0xf9, [1, 1], indifferent);
vector(0xfa, 0xfb, [1, 1]);
vector(0xfc, 0xfd, [1, 1], indifferent);
vector(0xfe, 0xff, [1, 1]);

/** Looks an operation up by its code, prefixed ones as {@link bulkBase} says; `undefined` where it is not permitted. */
export function operation(code: number): Operation | undefined {
  return operations.get(code);
}

/** The proposal that a forbidden instruction belongs to, for the error. */
export function featureOf(code: number): string {
  if (code === 0xfe) return "threads";
  if (code === 0xfb || code === 0x14 || code === 0x15 || (code >= 0xd3 && code <= 0xd6)) return "garbage collection";
  if (code === 0x12 || code === 0x13) return "tail calls";
  if ((code >= 0x06 && code <= 0x0a) || code === 0x18 || code === 0x19 || code === 0x1f) return "exceptions";
  if (code === bulkBase + 15) return "growing tables";
  if (code >= vectorBase + 0x100) return "relaxed SIMD";
  if (code >= bulkBase && code < vectorBase) return "wide arithmetic or memory control";
  return `instruction 0x${code.toString(16)}`;
}
