import type { DescField, Message } from "@bufbuild/protobuf";
import { contentIdFromBinary, contentIdToBinary, parseContentId, type Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { MessageType } from "#sdk/schema-message.ts";
import type { Storage } from "#sdk/storage.ts";
import { CALL_FILES } from "./program-call.ts";

/** Most bytes and files of all the directories that one call's messages name: they are held in memory. */
const MAX_CONTENT_BYTES = 512 * 2 ** 20;
const MAX_CONTENT_FILES = 10_000;

/** What one of a call's messages may name. */
export interface ContentShare {
  maxBytes: number;
  maxFiles: number;
}

/** An equal share for each of so many. */
export function contentShare(count: number): ContentShare {
  const parts = Math.max(1, count);
  return { maxBytes: Math.floor(MAX_CONTENT_BYTES / parts), maxFiles: Math.floor(MAX_CONTENT_FILES / parts) };
}

/**
 * The content ids that a message names, in fields that end in `_cid`; an empty field names none.
 *
 * @throws SuretyError `CONTENT_ID_INVALID`, `SCHEMA_MESSAGE_INVALID`
 */
export function contentIds(type: MessageType, message: Uint8Array): string[] {
  if (type.contentFields.length === 0) return [];
  const read = type.read(message);
  const found = type.contentFields.flatMap((field) => {
    const value = valueOf(read, field);
    return (Array.isArray(value) ? value : [value]) as (string | Uint8Array)[];
  });
  const named = found.filter((value) => value.length > 0).map((value) => asText(value));
  return [...new Set(named)].sort();
}

/**
 * Fetches the directories that a message names, as files for a program: `content/<content id>/<path>`. Every byte is
 * verified on arrival.
 *
 * @throws StorageError what {@link Storage.get} throws
 */
export async function fetchContent(
  storage: Pick<Storage, "get">,
  cids: readonly string[],
  { maxBytes, maxFiles, signal }: ContentShare & { signal?: AbortSignal },
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  let bytes = 0;
  for (const cid of new Set(cids)) {
    const limits = { maxBytes: maxBytes - bytes, maxFiles: maxFiles - files.size, signal };
    for (const [path, content] of await storage.get(cid, limits)) {
      bytes += content.length;
      files.set(`${CALL_FILES.content}/${cid}/${path}`, content);
    }
  }
  return files;
}

/**
 * Stores what a program published, by field, and writes the content ids into its reply.
 *
 * @param content By path: the field's name in the proto, then the file's place.
 * @returns the reply, serialised
 * @throws SuretyError `SCHEMA_CONTENT_INVALID` for a field that names no content; `SCHEMA_MESSAGE_INVALID`; what
 * {@link Storage.add} throws
 */
export async function storeContent(
  storage: Pick<Storage, "add">,
  type: MessageType,
  reply: Uint8Array,
  content: Directory,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const message = type.read(reply);
  const published = new Map<string, Map<string, Uint8Array>>();
  for (const [path, bytes] of content) {
    const slash = path.indexOf("/");
    const name = slash < 0 ? path : path.slice(0, slash);
    const files = published.get(name) ?? new Map<string, Uint8Array>();
    files.set(slash < 0 ? "" : path.slice(slash + 1), bytes);
    published.set(name, files);
  }
  for (const [name, files] of published) {
    const field = type.contentFields.find((each) => each.name === name && each.fieldKind === "scalar");
    if (field === undefined || files.has("")) {
      throw new SuretyError("SCHEMA_CONTENT_INVALID", `the program published ${JSON.stringify(name)}`, {
        details: { field: name, message: type.name },
        fix: `Publish to a field of ${type.name} that is text or bytes and ends in _cid.`,
        exit: ExitStatus.badInput,
      });
    }
    const cid = await storage.add(files, { signal });
    const isText = (field as { scalar: number }).scalar === 9;
    (message as Message & Record<string, unknown>)[field.localName] = isText ? cid : contentIdToBinary(cid);
  }
  return type.write(message);
}

function valueOf(message: Message, field: DescField): unknown {
  return (message as Message & Record<string, unknown>)[field.localName];
}

function asText(value: string | Uint8Array): string {
  return typeof value === "string" ? parseContentId(value).toString() : contentIdFromBinary(value);
}
