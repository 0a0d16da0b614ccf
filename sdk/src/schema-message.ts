import { fromBinary, fromJson, fromJsonString, toBinary, toJson } from "@bufbuild/protobuf";
import type { DescField, DescMessage, JsonValue, Message } from "@bufbuild/protobuf";

import { printable } from "./complaint.ts";
import { ExitStatus, SuretyError } from "./errors.ts";

/** Most bytes of one message; larger data goes by content id. */
export const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Deepest nesting of messages. */
const MAX_DEPTH = 32;

/** A message of a user's own proto3: the same bytes for the programs, and JSON for people. */
export class MessageType {
  /** Its description, with all of its fields. */
  readonly desc: DescMessage;

  constructor(desc: DescMessage) {
    this.desc = desc;
  }

  /** Full name: `Request`, `chess.Request`. */
  get name(): string {
    return this.desc.typeName;
  }

  /**
   * Serialises a message that is written in protobuf's JSON: names in camel case or as in the proto, 64-bit integers as
   * text or numbers, bytes in base64. Fields that are left out have their defaults.
   *
   * @param json A value, or a text, of which duplicate keys are refused too.
   * @throws SuretyError `SCHEMA_MESSAGE_INVALID` naming the field
   */
  fromJson(json: unknown): Uint8Array {
    const options = { recursionLimit: MAX_DEPTH };
    return this.#write(() =>
      typeof json === "string"
        ? fromJsonString(this.desc, json, options)
        : fromJson(this.desc, json as JsonValue, options),
    );
  }

  /**
   * A serialised message in protobuf's JSON.
   *
   * @throws SuretyError `SCHEMA_MESSAGE_INVALID`
   */
  toJson(bytes: Uint8Array): JsonValue {
    const message = this.read(bytes);
    try {
      return toJson(this.desc, message);
    } catch (cause) {
      throw this.#invalid(reasonOf(cause), cause);
    }
  }

  /**
   * Checks a stranger's serialised message, and gives it back in the one form this program writes: fields in the order
   * of their numbers, defaults left out.
   *
   * @throws SuretyError `SCHEMA_MESSAGE_INVALID` for what is no such message, has fields that the proto does not know,
   * or is too large or too deep
   */
  check(bytes: Uint8Array): Uint8Array {
    const message = this.read(bytes);
    return this.#write(() => message);
  }

  /** @throws SuretyError `SCHEMA_MESSAGE_INVALID` */
  read(bytes: Uint8Array): Message {
    if (bytes.length > MAX_MESSAGE_BYTES) throw this.#tooLarge(bytes.length);
    let message: Message;
    let unknown: number;
    try {
      message = fromBinary(this.desc, bytes, { recursionLimit: MAX_DEPTH });
      const known = toBinary(this.desc, message, { writeUnknownFields: false });
      unknown = toBinary(this.desc, message).length - known.length;
    } catch (cause) {
      throw this.#invalid(reasonOf(cause), cause);
    }
    if (unknown > 0) throw this.#invalid(`it has ${unknown} bytes of fields that the proto does not know`);
    return message;
  }

  /** @throws SuretyError `SCHEMA_MESSAGE_INVALID` */
  write(message: Message): Uint8Array {
    return this.#write(() => message);
  }

  /** The fields that name stored directories: text or bytes, with names that end in `_cid` or are `cid`. */
  get contentFields(): DescField[] {
    return this.desc.fields.filter(isContentField);
  }

  #write(make: () => Message): Uint8Array {
    let bytes: Uint8Array;
    try {
      bytes = toBinary(this.desc, make(), { writeUnknownFields: false });
    } catch (cause) {
      throw this.#invalid(reasonOf(cause), cause);
    }
    if (bytes.length > MAX_MESSAGE_BYTES) throw this.#tooLarge(bytes.length);
    return bytes;
  }

  #tooLarge(bytes: number): SuretyError {
    return this.#invalid(`it has ${bytes} bytes, expected at most ${MAX_MESSAGE_BYTES}`);
  }

  #invalid(reason: string, cause?: unknown): SuretyError {
    return new SuretyError("SCHEMA_MESSAGE_INVALID", `the message is no ${this.name}: ${reason}`, {
      details: { message: this.name, reason },
      fix: "Compare it with the proto; large data goes by content id.",
      exit: ExitStatus.badInput,
      cause,
    });
  }
}

/** Whether a field names a stored directory. */
export function isContentField(field: DescField): boolean {
  if (field.name !== "cid" && !field.name.endsWith("_cid")) return false;
  // 9 and 12 are text and bytes, by the numbers that protobuf gives scalar types.
  const scalar = field.fieldKind === "scalar" || (field.fieldKind === "list" && field.listKind === "scalar");
  return scalar && ((field.scalar as number) === 9 || (field.scalar as number) === 12);
}

function reasonOf(cause: unknown): string {
  return printable((cause instanceof Error ? cause.message : String(cause)).slice(0, 300));
}
