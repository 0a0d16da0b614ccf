import pMap from "p-map";
import { BATCH_MANIFEST_FILE, buildBatchManifest } from "#sdk/batch-manifest.ts";
import { classNamed, verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import type { JobFile } from "#sdk/job-file.ts";
import { buildJobSpec, JOB_SPEC_FILE, type JobSpec } from "#sdk/job-spec.ts";
import type { Storage } from "#sdk/storage.ts";
import { HttpRpc } from "../chain/rpc.ts";
import type { RequesterConfig } from "../config.ts";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import { openKey } from "../key/agent-key.ts";
import { findImage, storeImage, type JobImage } from "./job-image.ts";
import { findInputs, readModule, type JobInput, type JobModule } from "./job-content.ts";
import type { Offer } from "./jobs.ts";
import { checkOffer, offerOf, type Funds } from "./offer.ts";
import { newTicketId, type JobTicket } from "./spool.ts";

/** Inputs on their way at once: most of the time of a small one is waiting for whom it is uploaded to. */
const STORED_AT_ONCE = 4;

/** A job that was found in order; nothing of it is stored yet. */
export interface CheckedJob {
  /** What runs, by the kind of the job. */
  program: { kind: "wasm"; module: JobModule } | { kind: "container"; image: JobImage };
  inputs: JobInput[];
  offer: Offer;
  funds: Funds;
}

/**
 * Everything that can be wrong, the nearest first: this computer's files, then the chain's view. Changes nothing.
 *
 * @throws SuretyError `MODULE_NOT_FOUND`, `IMAGE_NOT_FOUND`, `IMAGE_INVALID`, `INPUT_NOT_FOUND`, `INPUT_INVALID`, what is wrong with the program, and what
 * {@link checkOffer} throws
 */
export async function checkJob(
  job: JobFile,
  config: RequesterConfig,
  { deployment, storage, signal }: { deployment: Deployment; storage: Storage; signal: AbortSignal },
): Promise<CheckedJob> {
  const { address, secret } = await openKey(config.key, { home: config.home, signal });
  const program = await findProgram(job, storage, signal);
  const inputs = await findInputs(job.inputs, storage, signal);
  const offer = offerOf(job, classNamed(deployment, job.class));

  const rpc = new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 });
  await verifyDeployment(rpc, deployment, { signal });
  const funds = await checkOffer(offer, inputs.length, { rpc, deployment, requester: address, secret, signal });
  return { program, inputs, offer, funds };
}

async function findProgram(job: JobFile, storage: Storage, signal: AbortSignal): Promise<CheckedJob["program"]> {
  // An image is run by those who have an engine; whether it starts only they can say.
  if (job.executor === "container") return { kind: "container", image: await findImage(job.image, storage, signal) };
  const module = await readModule(job.module, storage, signal);
  await checkProgram(module.bytes, signal);
  return { kind: "wasm", module };
}

async function checkProgram(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const executor = new WasmExecutor();
  try {
    await executor.check(bytes, { signal });
  } finally {
    await executor.close();
  }
}

/**
 * Stores what a job needs, and makes the ticket that a requester's agent posts it by.
 *
 * @throws StorageError what storing throws
 */
export async function storeJob(
  job: JobFile,
  { program, inputs, offer }: CheckedJob,
  { config, storage, signal }: { config: RequesterConfig; storage: Storage; signal: AbortSignal },
): Promise<JobTicket> {
  const jobSpec = buildJobSpec(await storeProgram(job, program, storage, signal));
  const spec = await storage.add(new Map([[JOB_SPEC_FILE, jobSpec]]), { signal });
  const cids = await pMap(
    inputs,
    async (input) => (input.kind === "stored" ? input.cid : storage.add(await input.read(), { signal })),
    { concurrency: STORED_AT_ONCE, signal },
  );
  const manifest = await storage.add(new Map([[BATCH_MANIFEST_FILE, buildBatchManifest(cids)]]), { signal });
  return {
    ticket: newTicketId(),
    name: job.name,
    createdAt: new Date().toISOString(),
    terms: { ...offer, spec },
    manifest,
    count: inputs.length,
    plantShare: job.plant > 0 ? job.plant : config.plantShare,
  };
}

async function storeProgram(
  job: JobFile,
  program: CheckedJob["program"],
  storage: Storage,
  signal: AbortSignal,
): Promise<JobSpec> {
  const { name, args } = job;
  if (job.executor === "container" && program.kind === "container") {
    const { executor, entrypoint, environment, gpu, limits } = job;
    const image = await storeImage(program.image, storage, signal);
    return { version: 1, name, executor, image, entrypoint, args, environment, gpu, limits };
  }
  if (job.executor !== "wasm" || program.kind !== "wasm") throw new TypeError("the job was checked as another kind");
  const { module } = program;
  const stored = module.stored ?? {
    cid: await storage.add(new Map([[module.name, module.bytes]]), { signal }),
    path: module.name,
  };
  return { version: 1, name, executor: job.executor, program: stored, args, limits: job.limits };
}
