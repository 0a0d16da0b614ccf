import { z } from "zod";

import { complaint } from "./complaint.ts";
import { isImageReference } from "./container-spec.ts";
import { parseContentId } from "./content.ts";
import { isRelativePath } from "./stored-path.ts";

const MAX_PATH_LENGTH = 1024;

/** Where something is: on this computer, or in storage under its content id. */
export type Source =
  | {
      kind: "path";
      /** Relative to the base folder, if one was given. */
      path: string;
    }
  | {
      kind: "content";
      /** Content id of a directory, canonical. */
      cid: string;
      /** A file in it; where it is left out and a file is needed, the directory holds only that file. */
      path?: string;
    };

/** Where an image is: saved as a tar, or in a registry. */
export type ImageSource =
  | (Source & {
      /** `sha256:` and the digest of its configuration; left out of a tar on this computer, which tells. */
      id?: string;
    })
  | {
      kind: "reference";
      /** `name@sha256:…` */
      reference: string;
    };

/** A folder with one file or sub-folder per task, or one source per task. */
export type Inputs = { kind: "folder"; path: string } | { kind: "list"; sources: Source[] };

/** The inputs as they are written, or what is wrong with them in the context. */
export function parseInputs(value: string | string[], context: z.RefinementCtx): Inputs {
  const sources: Source[] = [];
  const example = "./inputs";
  const refuse = (path: number[], message: string): never => {
    context.addIssue({ code: "custom", message, path });
    return z.NEVER;
  };
  if (typeof value === "string") {
    const folder = sourceOrNothing(value);
    if (folder?.kind === "path") return { kind: "folder", path: folder.path };
    return refuse([], complaint(value, "a folder, or a list of paths and content ids", example));
  }
  if (value.length === 0) return refuse([], "is an empty list, expected one input per task");
  for (const [index, item] of value.entries()) {
    const parsed = sourceOrNothing(item);
    if (parsed === undefined) return refuse([index], complaint(item, "a path or a content id", "./a.json"));
    sources.push(parsed);
  }
  return { kind: "list", sources };
}

function sourceOrNothing(text: string): Source | undefined {
  try {
    return parseSource(text);
  } catch {
    return undefined;
  }
}

/** `bafy…`, `bafy…/file`, `ipfs://bafy…/file`, or else a path. `./bafy…` is a path. */
export function parseSource(text: string): Source {
  if (text === "" || text.length > MAX_PATH_LENGTH || /\p{C}/u.test(text)) throw new Error("no path");
  const bare = text.startsWith("ipfs://") ? text.slice("ipfs://".length) : text;
  const slash = bare.indexOf("/");
  const id = slash === -1 ? bare : bare.slice(0, slash);
  const rest = slash === -1 ? "" : bare.slice(slash + 1).replace(/\/$/, "");
  const looksLikeId = bare !== text || /^(?:b[a-z2-7]{58,}|Qm[1-9A-HJ-NP-Za-km-z]{44})$/.test(id);
  if (!looksLikeId) return { kind: "path", path: text };
  if (id.length > 100 || (rest !== "" && !isRelativePath(rest))) throw new Error("no content id");
  const cid = parseContentId(id).toString();
  return rest === "" ? { kind: "content", cid } : { kind: "content", cid, path: rest };
}

/** A source, or `name@sha256:…`. */
export function parseImage(text: string): Source | Extract<ImageSource, { kind: "reference" }> {
  return isImageReference(text) ? { kind: "reference", reference: text } : parseSource(text);
}

/** The source with its path put after a base folder, if both are relative. */
export function inFolder(each: Source, baseFolder: string | undefined): Source {
  return each.kind === "path" ? { kind: "path", path: joined(baseFolder, each.path) } : each;
}

/** A path after a base folder, unless it is absolute. */
export function joined(baseFolder: string | undefined, path: string): string {
  const isAbsolute = path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path);
  if (baseFolder === undefined || isAbsolute) return path;
  return `${baseFolder.replace(/\/+$/, "")}/${path.replace(/^(?:\.\/+)+/, "")}`;
}

/** What a program is called after its file, or the registry's name of an image. */
export function programName(program: Source | ImageSource): string {
  const path = program.kind === "reference" ? program.reference.replace(/@.*$/, "") : program.path;
  const file = path
    ?.split(/[\\/]/)
    .at(-1)
    ?.replace(/\.(?:wasm|tar)$/, "");
  return file === undefined || file === "" ? "job" : file.slice(0, 100);
}
