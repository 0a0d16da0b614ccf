import { concat, getAddress, getBytes, keccak256, toUtf8Bytes } from "ethers";
import { z } from "zod";
import { decodeJson, encodeJson } from "#sdk/canonical-json.ts";
import type { Directory } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import { decodeResult, encodeResult } from "#sdk/request-content.ts";
import { hasRoles } from "#sdk/request-terms.ts";
import type { Ruling } from "#sdk/request-terms.ts";
import { rulingOf } from "#sdk/schema-evaluation.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor } from "../executor/executor.ts";
import { contentIds } from "../schema/content-fields.ts";
import { fetchTests, type VerifiedRelease } from "../schema/release.ts";
import {
  MAX_CHECKPOINT_BYTES,
  runEvaluator,
  runWorker,
  type EvaluatorOrder,
  type EvaluatorResult,
} from "../schema/run-schema.ts";
import { storeTestContent, type SchemaTest } from "../schema/schema-test.ts";
import { isEquivalentRuling } from "./evaluation.ts";
import { HeldContent } from "./held-content.ts";

/** Who applies for what. */
export interface Applicant {
  /** Id of the schema. */
  schema: string;
  node: string;
  /** Bits, see `ROLES`. */
  roles: number;
}

/** What showing and examining work with. */
export interface QualificationParts {
  storage: Storage;
  executor: Executor;
  release: VerifiedRelease;
  signal?: AbortSignal;
}

/** Most bytes and files of a qualification. */
const MAX_BYTES = 256 * 2 ** 20;
const MAX_FILES = 20_000;
const MAX_RANKING_BYTES = 64 * 1024;
const RANKING_FILE = "ranking.json";
/** A stranger that is no node: whose replies a test says are invalid. */
const CHEAT = (index: number): string => getAddress(`0x${(index + 1).toString(16).padStart(40, "0")}`);

const rankingSchema = z.strictObject({
  nodes: z.array(z.string().max(42)).max(255),
  scores: z.array(z.string().regex(/^\d{1,39}$/)).max(255),
});

/**
 * Shows what an applicant can do: for each of the release's tests its own worker's reply, and, of who applies for more
 * than work, how its evaluator ranks that beside the replies that the test says are invalid.
 *
 * @returns files below a folder for each test, to be stored: its content id goes into the application
 * @throws what programs, executor and storage throw
 */
export async function showQualification(parts: QualificationParts, applicant: Applicant): Promise<Directory> {
  const { storage, executor, release, signal } = parts;
  const shown = new Map<string, Uint8Array>();
  for (const [index, test] of (await fetchTests(storage, release, { signal })).entries()) {
    const held = new HeldContent();
    await storeTestContent(held, test, { signal });
    const runner = { schema: release, executor, storage: held };
    const order = { request: release.proto.worker.input.fromJson(test.request), node: applicant.node };
    const worked = await runWorker(runner, { ...order, seed: seedOf(applicant, index) }, { signal });
    const named = held.pick(contentIds(release.proto.worker.output, worked.reply));
    const checkpoints = worked.checkpoints.map((state) => ({ state, salt: NO_SALT }));
    // The salts hide nothing here; the form is that of results.
    for (const [path, bytes] of encodeResult({ reply: worked.reply, content: named, checkpoints })) {
      if (path !== SALTS) shown.set(`${index}/${path}`, bytes);
    }
    if (!isMoreThanWork(applicant)) continue;
    const ranking = await evaluate(parts, { applicant, test, index, worker: worked, held });
    const { order: nodes, scores } = rulingOf(ranking);
    shown.set(`${index}/${RANKING_FILE}`, encodeJson({ nodes, scores: scores.map(String) }));
  }
  return shown;
}

/**
 * Examines what an applicant shows: its replies must be ranked, before everything that is invalid, and its rankings be
 * those that one's own evaluator comes to.
 *
 * @param cid Content id of what it shows.
 * @throws SuretyError `QUALIFICATION_FAILED` with the reason; StorageError for what cannot be had
 */
export async function examine(
  parts: QualificationParts,
  { cid, ...applicant }: Applicant & { cid: string },
): Promise<void> {
  const { storage, release, signal } = parts;
  const shown = await storage.get(cid, { maxBytes: MAX_BYTES, maxFiles: MAX_FILES, signal });
  for (const [index, test] of (await fetchTests(storage, release, { signal })).entries()) {
    const of = new Map(
      [...shown].flatMap(([path, bytes]): [string, Uint8Array][] =>
        path.startsWith(`${index}/`) ? [[path.slice(`${index}/`.length), bytes]] : [],
      ),
    );
    try {
      await examineTest(parts, { applicant, test, index, shown: of });
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof SuretyError) || error.kind === "retryable") throw error;
      throw new SuretyError("QUALIFICATION_FAILED", `${test.path}: ${error.message}`, {
        details: { node: applicant.node, test: test.path, code: error.code },
        cause: error,
      });
    }
  }
}

async function examineTest(
  parts: QualificationParts,
  { applicant, test, index, shown }: { applicant: Applicant; test: SchemaTest; index: number; shown: Directory },
): Promise<void> {
  const { proto } = parts.release;
  const told = shown.get(RANKING_FILE);
  const files = new Map([...shown].filter(([path]) => path !== RANKING_FILE));
  const states = [...files.keys()].filter((path) => path.startsWith("checkpoints/")).length;
  const { reply, content, checkpoints } = await decodeShown(files, states);
  const held = new HeldContent(content);
  await storeTestContent(held, test, { signal: parts.signal });
  const worker = { node: applicant.node, reply: proto.worker.output.check(reply), checkpoints };
  const found = await evaluate(parts, { applicant, test, index, worker, held });
  const ruling = rulingOf(found);
  if (test.solvable && ruling.order[0] !== applicant.node)
    throw failed("its reply is not ranked before what is invalid");
  if (!isMoreThanWork(applicant)) return;
  if (told === undefined) throw failed("it ranked nothing");
  if (!isEquivalentRuling(parseRanking(told), ruling)) throw failed("it ranks otherwise");
}

async function evaluate(
  { executor, release, signal }: QualificationParts,
  of: {
    applicant: Applicant;
    test: SchemaTest;
    index: number;
    worker: EvaluatorOrder["workers"][number];
    held: HeldContent;
  },
): Promise<EvaluatorResult> {
  const { worker, input } = { worker: release.proto.worker.output, input: release.proto.worker.input };
  const cheats = of.test.invalid.map((reply, index) => {
    return { node: CHEAT(index), reply: worker.fromJson(reply), checkpoints: [] };
  });
  const seed = seedOf(of.applicant, of.index);
  return runEvaluator(
    { schema: release, executor, storage: of.held },
    {
      request: input.fromJson(of.test.request),
      workers: [of.worker, ...cheats],
      seed,
      drawSeed: getBytes(keccak256(seed)),
      testData: of.test.testData,
    },
    { signal },
  );
}

/** Whose, of which schema and test, so that no other applicant's replies will do. */
function seedOf({ schema, node }: Applicant, index: number): Uint8Array {
  return getBytes(keccak256(concat([toUtf8Bytes(`surety/qualification/v1/${index}`), schema, node])));
}

const SALTS = "checkpoint-salts";
const NO_SALT = `0x${"00".repeat(32)}`;

/** Reads a reply as it is shown: as a result, with checkpoints that nobody committed to. */
async function decodeShown(
  files: Directory,
  states: number,
): Promise<{ reply: Uint8Array; content: ReadonlyMap<string, Directory>; checkpoints: Uint8Array[] }> {
  const checkpoints: Uint8Array[] = [];
  let bytes = 0;
  for (let number = 0; number < states; number += 1) {
    const state = files.get(`checkpoints/${number}`);
    if (state === undefined) throw failed(`state ${number} is missing`);
    bytes += state.length;
    checkpoints.push(state);
  }
  if (bytes > MAX_CHECKPOINT_BYTES) throw failed("its states are too large");
  const rest = new Map([...files].filter(([path]) => !path.startsWith("checkpoints/")));
  const { reply, content } = await decodeResult(rest, []);
  return { reply, content, checkpoints };
}

function parseRanking(bytes: Uint8Array): Ruling {
  const { nodes, scores } = decodeJson<z.infer<typeof rankingSchema>>(bytes, {
    schema: rankingSchema,
    name: "ranking",
    code: "QUALIFICATION_FAILED",
    maxBytes: MAX_RANKING_BYTES,
  });
  return { verdict: "ranking", order: nodes, scores: scores.map(BigInt) };
}

function isMoreThanWork({ roles }: Applicant): boolean {
  return hasRoles(roles, "evaluator") || hasRoles(roles, "admin");
}

function failed(reason: string): SuretyError {
  return new SuretyError("QUALIFICATION_FAILED", reason);
}
