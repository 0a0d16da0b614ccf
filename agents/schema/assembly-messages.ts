import type { DescEnum, DescField, DescMessage, FileRegistry } from "@bufbuild/protobuf";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** How AssemblyScript has one of protobuf's scalar types, by the number that protobuf gives it. */
interface Scalar {
  type: string;
  /** What is left out of a message. */
  initial: string;
  /** Wire type: 0 number, 1 eight bytes, 2 length, 5 four bytes. */
  wire: 0 | 1 | 2 | 5;
  read: string;
  write: (value: string) => string;
  /** Whether a value is the default one. */
  isDefault: (value: string) => string;
}

const number = (type: string, wire: 0 | 1 | 5, read: string, write: (value: string) => string): Scalar => {
  return { type, initial: "0", wire, read, write, isDefault: (value) => `${value} == 0` };
};
const varint = (type: string, widen = (value: string) => `<u64>${value}`): Scalar =>
  number(type, 0, `<${type}>reader.varint()`, (value) => `writer.varint(${widen(value)})`);

const SCALARS: Readonly<Record<number, Scalar>> = {
  // Minus zero is no default.
  1: {
    ...number("f64", 1, "reinterpret<f64>(reader.fixed64())", (value) => `writer.fixed64(reinterpret<u64>(${value}))`),
    isDefault: (value) => `reinterpret<u64>(${value}) == 0`,
  },
  2: {
    ...number("f32", 5, "reinterpret<f32>(reader.fixed32())", (value) => `writer.fixed32(reinterpret<u32>(${value}))`),
    isDefault: (value) => `reinterpret<u32>(${value}) == 0`,
  },
  3: varint("i64"),
  4: varint("u64", (value) => value),
  5: varint("i32", (value) => `<u64><i64>${value}`),
  6: number("u64", 1, "reader.fixed64()", (value) => `writer.fixed64(${value})`),
  7: number("u32", 5, "reader.fixed32()", (value) => `writer.fixed32(${value})`),
  8: {
    type: "bool",
    initial: "false",
    wire: 0,
    read: "reader.varint() != 0",
    write: (value) => `writer.varint(<u64>${value})`,
    isDefault: (value) => `!${value}`,
  },
  9: {
    type: "string",
    initial: '""',
    wire: 2,
    read: "reader.text()",
    write: (value) => `writer.text(${value})`,
    isDefault: (value) => `${value}.length == 0`,
  },
  12: {
    type: "Uint8Array",
    initial: "new Uint8Array(0)",
    wire: 2,
    read: "reader.data()",
    write: (value) => `writer.data(${value})`,
    isDefault: (value) => `${value}.length == 0`,
  },
  13: varint("u32"),
  15: number("i32", 5, "<i32>reader.fixed32()", (value) => `writer.fixed32(<u32>${value})`),
  16: number("i64", 1, "<i64>reader.fixed64()", (value) => `writer.fixed64(<u64>${value})`),
  17: number("i32", 0, "<i32>reader.zigzag()", (value) => `writer.zigzag(<i64>${value})`),
  18: number("i64", 0, "reader.zigzag()", (value) => `writer.zigzag(${value})`),
};

/**
 * Writes a schema's messages as AssemblyScript classes, with `decode` and `encode`.
 *
 * @throws SuretyError `SCHEMA_TYPE_UNSUPPORTED` for maps, which AssemblyScript programs do without
 */
export function assemblyMessages(registry: FileRegistry): string {
  const parts = [
    `// Made by surety from the schema's proto: do not edit.\nimport { Reader, Writer } from "surety/protobuf";\n`,
  ];
  for (const desc of registry) {
    if (desc.kind === "enum") parts.push(enumeration(desc));
    if (desc.kind === "message") parts.push(message(desc));
  }
  return parts.join("\n");
}

function enumeration(desc: DescEnum): string {
  const values = desc.values.map((value) => `  ${value.name} = ${value.number},\n`);
  return `export enum ${nameOf(desc)} {\n${values.join("")}}\n`;
}

function message(desc: DescMessage): string {
  const name = nameOf(desc);
  const lines = desc.fields.map((field) => `  ${declaration(field)}`);
  const cases = desc.fields.flatMap((field) => reading(field)).map((line) => `      ${line}`);
  const writes = desc.fields.flatMap((field) => writing(field)).map((line) => `    ${line}`);
  return `export class ${name} {
${lines.join("\n")}

  static decode(bytes: Uint8Array): ${name} {
    return ${name}.read(new Reader(bytes));
  }

  static read(reader: Reader): ${name} {
    const message = new ${name}();
    while (!reader.done) {
      const tag = <u32>reader.varint();
${cases.length > 0 ? `${cases.join("\n")} else reader.skip(tag);` : "      reader.skip(tag);"}
    }
    return message;
  }

  encode(): Uint8Array {
    const writer = new Writer();
    this.write(writer);
    return writer.finish();
  }

  write(writer: Writer): void {
${writes.join("\n")}
  }
}
`;
}

/** Whether a field tells a default that was written from one that was left out. */
function tells(field: DescField): boolean {
  return (field.fieldKind === "scalar" || field.fieldKind === "enum") && (field.proto.proto3Optional || !!field.oneof);
}

const flag = (field: DescField): string => `has_${field.localName}`;

function declaration(field: DescField): string {
  const name = field.localName;
  switch (field.fieldKind) {
    case "message":
      return `${name}: ${nameOf(field.message)} | null = null;`;
    case "list":
      return `${name}: Array<${elementType(field)}> = [];`;
    case "map":
      throw new SuretyError("SCHEMA_TYPE_UNSUPPORTED", `${field.parent.typeName}.${field.name} is a map`, {
        details: { field: `${field.parent.typeName}.${field.name}` },
        fix: "Write it as a list of messages with a key and a value.",
        exit: ExitStatus.badInput,
      });
    case "scalar":
    case "enum": {
      const { type, initial } = scalarOf(field);
      const declared = `${name}: ${type} = ${initial};`;
      return tells(field) ? `${declared}\n  ${flag(field)}: bool = false;` : declared;
    }
  }
}

function reading(field: DescField): string[] {
  const target = `message.${field.localName}`;
  const first = field.parent.fields[0] === field ? "if" : "else if";
  const on = (wire: number): string => `${first} (tag == ${tagOf(field, wire)})`;
  switch (field.fieldKind) {
    case "message":
      return [`${on(2)} ${braced(field, `${target} = ${nameOf(field.message)}.read(reader.inner());`)}`];
    case "list": {
      if (field.listKind === "message") {
        return [`${on(2)} ${target}.push(${nameOf(field.message)}.read(reader.inner()));`];
      }
      const { wire, read } = scalarOf(field);
      const one = `${on(wire)} ${target}.push(${read});`;
      if (wire === 2) return [one];
      // Packed or not, whoever wrote it.
      const packed = read.replaceAll("reader.", "packed.");
      const many = `else if (tag == ${tagOf(field, 2)}) { const packed = reader.inner(); while (!packed.done) ${target}.push(${packed}); }`;
      return [one, many];
    }
    case "scalar":
    case "enum": {
      const { wire, read } = scalarOf(field);
      return [`${on(wire)} ${braced(field, `${target} = ${read};`)}`];
    }
    case "map":
      return [];
  }
}

/** What goes with reading a field: those of its oneof are gone, and that it was there. */
function braced(field: DescField, set: string): string {
  const others = (field.oneof?.fields ?? []).filter((other) => other !== field);
  const gone = others.map((other) =>
    other.fieldKind === "message" ? `message.${other.localName} = null;` : `message.${flag(other)} = false;`,
  );
  const there = tells(field) ? [`message.${flag(field)} = true;`] : [];
  return `{ ${[set, ...there, ...gone].join(" ")} }`;
}

function writing(field: DescField): string[] {
  const value = `this.${field.localName}`;
  const tag = (wire: number): string => `writer.varint(${tagOf(field, wire)});`;
  switch (field.fieldKind) {
    case "message": {
      const held = `held_${field.localName}`;
      return [`const ${held} = ${value};`, `if (${held} != null) { ${tag(2)} writer.data(${held}.encode()); }`];
    }
    case "list": {
      const each = `for (let i = 0; i < ${value}.length; i++)`;
      if (field.listKind === "message") return [`${each} { ${tag(2)} writer.data(${value}[i].encode()); }`];
      const { wire, write } = scalarOf(field);
      if (wire === 2) return [`${each} { ${tag(2)} ${write(`${value}[i]`)}; }`];
      const packed = `packed_${field.localName}`;
      const inner = write(`${value}[i]`).replace("writer.", `${packed}.`);
      return [
        `if (${value}.length > 0) { const ${packed} = new Writer(); ${each} ${inner}; ${tag(2)} writer.data(${packed}.finish()); }`,
      ];
    }
    case "scalar":
    case "enum": {
      const { wire, write, isDefault } = scalarOf(field);
      const when = tells(field) ? `this.${flag(field)}` : `!(${isDefault(value)})`;
      return [`if (${when}) { ${tag(wire)} ${write(value)}; }`];
    }
    case "map":
      return [];
  }
}

function tagOf(field: DescField, wire: number): number {
  return field.number * 8 + wire;
}

function scalarOf(field: DescField): Scalar {
  // An enumeration is an int32, whatever its values are called.
  const type = "scalar" in field && field.scalar !== undefined ? (field.scalar as number) : 5;
  return SCALARS[type]!;
}

function elementType(field: DescField & { fieldKind: "list" }): string {
  return field.listKind === "message" ? nameOf(field.message) : scalarOf(field).type;
}

/** Its name within the package, with underscores where the proto nests. */
function nameOf(desc: DescMessage | DescEnum): string {
  return desc.parent ? `${nameOf(desc.parent)}_${desc.name}` : desc.name;
}
