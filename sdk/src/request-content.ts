import { sha256 } from "@noble/hashes/sha2.js";
import { concat, getBytes, isHexString, keccak256 } from "ethers";

import { computeContentId, type Directory } from "./content.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import { SEALED_CONTENT_FILE } from "./sealed-content.ts";

/** The worker's message of an input; in a result it is the reply. */
const REQUEST_FILE = "request";
const REPLY_FILE = "reply";
/** How many bytes an input has when it is opened, in decimal digits: beside what is sealed, for those who look first. */
export const INPUT_BYTES_FILE = "bytes";
/** Longest such number. */
export const MAX_INPUT_BYTES_DIGITS = 15;
const CONTENT_FOLDER = "content";
const CHECKPOINTS_FOLDER = "checkpoints";
const SALTS_FILE = "checkpoint-salts";

/** What a request's workers are given. */
export interface RequestInput {
  /** The worker's message, serialised. */
  message: Uint8Array;
  /** The directories that it names, by content id. */
  content: ReadonlyMap<string, Directory>;
}

/** What a worker came to. */
export interface RequestResult {
  /** The worker's reply, serialised. */
  reply: Uint8Array;
  /** The directories that it names, by content id. */
  content: ReadonlyMap<string, Directory>;
  /** What was committed to on the way, in order. */
  checkpoints: readonly { state: Uint8Array; salt: string }[];
}

/** An input as files: `request` and `content/<content id>/…`. */
export function encodeInput({ message, content }: RequestInput): Directory {
  return new Map([[REQUEST_FILE, message], ...contentFiles(content)]);
}

/**
 * Reads an input. Every directory in it has the content id it is under.
 *
 * @param directory A stranger's; of one that is not secret, as it is stored.
 * @throws SuretyError `REQUEST_INPUT_INVALID`
 */
export async function decodeInput(directory: Directory): Promise<RequestInput> {
  const message = directory.get(REQUEST_FILE);
  if (message === undefined) throw invalid("REQUEST_INPUT_INVALID", `there is no file ${REQUEST_FILE}`);
  const read: RequestInput = { message, content: await contentOf("REQUEST_INPUT_INVALID", directory) };
  const known = new Set([REQUEST_FILE, INPUT_BYTES_FILE, SEALED_CONTENT_FILE]);
  requireKnown("REQUEST_INPUT_INVALID", directory, known, [CONTENT_FOLDER]);
  return read;
}

/** An input's file that says how large it is opened. */
export function inputBytesFile(opened: Directory): readonly [string, Uint8Array] {
  let bytes = 0;
  for (const content of opened.values()) bytes += content.length;
  return [INPUT_BYTES_FILE, new TextEncoder().encode(String(bytes))];
}

/**
 * How many bytes an input says it has, opened.
 *
 * @throws SuretyError `REQUEST_INPUT_INVALID`
 */
export function parseInputBytes(file: Uint8Array): number {
  const text = new TextDecoder().decode(file.subarray(0, MAX_INPUT_BYTES_DIGITS + 1));
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalid("REQUEST_INPUT_INVALID", `${INPUT_BYTES_FILE} is no number`);
}

/** A result as files: `reply`, `content/<content id>/…`, `checkpoints/<n>` and their salts. */
export function encodeResult({ reply, content, checkpoints }: RequestResult): Directory {
  const states = checkpoints.map(({ state }, number): [string, Uint8Array] => [
    `${CHECKPOINTS_FOLDER}/${number}`,
    state,
  ]);
  const salts = new TextEncoder().encode(checkpoints.map(({ salt }) => `${salt}\n`).join(""));
  return new Map([
    [REPLY_FILE, reply],
    ...contentFiles(content),
    ...states,
    ...(checkpoints.length > 0 ? [[SALTS_FILE, salts] as const] : []),
  ]);
}

/**
 * Reads a result. Every directory in it has the content id it is under.
 *
 * @param directory A stranger's.
 * @param committed To what the worker committed on the way, in the order of the chain.
 * @throws SuretyError `REQUEST_RESULT_INVALID` for what is no result; `REQUEST_CHECKPOINTS_WRONG` if it was committed to
 * something else
 */
export async function decodeResult(
  directory: Directory,
  committed: readonly { number: number; commitment: string }[],
): Promise<RequestResult> {
  const reply = directory.get(REPLY_FILE);
  if (reply === undefined) throw invalid("REQUEST_RESULT_INVALID", `there is no file ${REPLY_FILE}`);
  const salts = new TextDecoder().decode(directory.get(SALTS_FILE)).split("\n").slice(0, -1);
  const content = await contentOf("REQUEST_RESULT_INVALID", directory);
  requireKnown("REQUEST_RESULT_INVALID", directory, new Set([REPLY_FILE, SALTS_FILE]), [
    CONTENT_FOLDER,
    CHECKPOINTS_FOLDER,
  ]);
  const states = [...directory.keys()].filter((path) => path.startsWith(`${CHECKPOINTS_FOLDER}/`)).length;
  if (states !== salts.length || states !== committed.length) {
    throw wrongCheckpoints(`${states} states and ${salts.length} salts, ${committed.length} were committed to`);
  }
  const checkpoints = committed.map(({ number, commitment }, index) => {
    const state = directory.get(`${CHECKPOINTS_FOLDER}/${index}`);
    const salt = salts[index]!;
    const isRight =
      number === index &&
      state !== undefined &&
      isHexString(salt, 32) &&
      checkpointCommitment(salt, state) === commitment.toLowerCase();
    if (!isRight) throw wrongCheckpoints(`state ${index} is not what was committed to`);
    return { state, salt };
  });
  return { reply, content, checkpoints };
}

/**
 * What a worker commits to before its next step begins.
 *
 * @param salt 32 bytes, hexadecimal.
 * @returns 32 bytes, hexadecimal
 */
export function checkpointCommitment(salt: string, state: Uint8Array): string {
  return keccak256(concat([getBytes(salt), sha256(state)]));
}

function contentFiles(content: RequestInput["content"]): [string, Uint8Array][] {
  return [...content].flatMap(([cid, files]) =>
    [...files].map(([path, bytes]): [string, Uint8Array] => [`${CONTENT_FOLDER}/${cid}/${path}`, bytes]),
  );
}

async function contentOf(code: string, directory: Directory): Promise<Map<string, Directory>> {
  const content = new Map<string, Map<string, Uint8Array>>();
  for (const [path, bytes] of directory) {
    const [, cid, inner] = /^content\/([^/]+)\/(.+)$/s.exec(path) ?? [];
    if (cid === undefined || inner === undefined) continue;
    const files = content.get(cid) ?? new Map<string, Uint8Array>();
    files.set(inner, bytes);
    content.set(cid, files);
  }
  for (const [cid, files] of content) {
    if ((await computeContentId(files)) !== cid) throw invalid(code, `a directory in it is not ${cid.slice(0, 100)}`);
  }
  return content;
}

function requireKnown(code: string, directory: Directory, files: ReadonlySet<string>, folders: string[]): void {
  for (const path of directory.keys()) {
    if (files.has(path) || folders.some((folder) => path.startsWith(`${folder}/`))) continue;
    throw invalid(code, `nothing is to be at ${JSON.stringify(path.slice(0, 100))}`);
  }
}

function invalid(code: string, what: string): SuretyError {
  return new SuretyError(code, `this is no content of a request: ${what}`, {
    details: { what },
    exit: ExitStatus.badInput,
  });
}

function wrongCheckpoints(what: string): SuretyError {
  return new SuretyError("REQUEST_CHECKPOINTS_WRONG", `the worker's checkpoints cannot be used: ${what}`, {
    details: { what },
  });
}
