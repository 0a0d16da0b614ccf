import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { schemaState } from "#sdk/reads.ts";
import { registerJob, release as releaseCall } from "#sdk/request-calls.ts";
import { schemaIdOf } from "#sdk/request-terms.ts";
import { schemaTermsOf } from "#sdk/schema-release.ts";
import type { CheckedPackage } from "../schema/check-package.ts";
import type { RequestAgent } from "./request-agent.ts";

/** What was registered. */
export interface RegisteredJob {
  /** Id of the schema: what people call the job's id. */
  job: string;
  /** Content id of the release. */
  cid: string;
  /** False if it was registered before, with the same release and terms. */
  isNew: boolean;
}

/**
 * Publishes a package that passed its check, registers it with the terms of its `schema.yaml`, and waits until that is
 * final. The account becomes the root of its tree. Doing it again changes nothing: an id says what was registered.
 *
 * @param options.nonce Tells schemas apart that are the same otherwise. Default: 0.
 * @throws SuretyError `SCHEMA_RELEASED_SINCE` (exit 4) if it was registered before and has another release now;
 *   `CallReverted`; what storage and sender throw
 */
export async function registerPackage(
  agent: RequestAgent,
  { release, directory, digest, cid }: CheckedPackage,
  { signal, nonce = 0n }: { signal?: AbortSignal; nonce?: bigint } = {},
): Promise<RegisteredJob> {
  const { context, deployment, address, sender } = agent;
  const terms = schemaTermsOf(release, { digest, decimals: deployment.token.decimals, nonce });
  const job = schemaIdOf(context, address, terms);
  const before = await schemaState(agent.rpc, context.schemas, job, { signal });
  if (before.releases > 0 && before.release !== digest) {
    throw new SuretyError("SCHEMA_RELEASED_SINCE", `${job} was registered with this release, and has another by now`, {
      details: { job, actual: before.release, registered: digest },
      fix: "Name this one its release with surety schema release, or register it as another with --nonce 1.",
      exit: ExitStatus.refused,
    });
  }
  await agent.storage.add(directory, { signal });
  const key = `registerJob:${job}`;
  // What an earlier call sent may not be final yet.
  if (before.releases === 0 || sender.find(key)) {
    await sender.submit({ key, ...registerJob(context.schemas, { terms }) }, { signal });
    await sender.wait(key, "final", { signal });
  }
  return { job, cid, isNew: before.releases === 0 };
}

/** A release that was named on chain. */
export interface ReleasedJob extends RegisteredJob {
  /** From 1. */
  number: number;
}

/**
 * Publishes a package that passed its check as the newest release of a job, and waits until that is final. Agents take
 * it up between requests; requests that were posted keep theirs.
 *
 * @throws SuretyError `SCHEMA_UNKNOWN` (exit 2); `SCHEMA_NOT_YOURS` (exit 4) if somebody else registered it;
 *   `SCHEMA_TERMS_FIXED` (exit 2) if `schema.yaml` says other terms than were registered; `CallReverted`; what storage
 *   and sender throw
 */
export async function releasePackage(
  agent: RequestAgent,
  job: string,
  { release, directory, digest, cid }: CheckedPackage,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ReleasedJob> {
  const { context, deployment, address, sender } = agent;
  const before = await schemaState(agent.rpc, context.schemas, job, { signal });
  if (before.releases === 0) throw unknownSchema(job);
  if (before.registrant !== address) {
    throw new SuretyError("SCHEMA_NOT_YOURS", `${job} was registered by ${before.registrant}`, {
      details: { job, expected: before.registrant, actual: address },
      fix: "Use the configuration of who registered it, or register a schema of your own.",
      exit: ExitStatus.refused,
    });
  }
  const terms = schemaTermsOf(release, { digest, decimals: deployment.token.decimals });
  const fixed = ["minimumDeposit", "challengeFee", "rewardFunctions"] as const;
  if (fixed.some((name) => before[name] !== terms[name])) {
    throw new SuretyError("SCHEMA_TERMS_FIXED", "deposit, challengeFee or rewards differ from what was registered", {
      details: { job },
      fix: "Put back what was registered; other terms are another job, for surety schema register.",
      exit: ExitStatus.badInput,
    });
  }
  await agent.storage.add(directory, { signal });
  if (before.release === digest) return { job, cid, isNew: false, number: before.releases };
  const number = before.releases + 1;
  const key = `release:${job}:${number}:${digest}`;
  await sender.submit({ key, ...releaseCall(context.schemas, { schema: job, release: digest }) }, { signal });
  await sender.wait(key, "final", { signal });
  return { job, cid, isNew: true, number };
}

/** The error for an id that is no schema's: `SCHEMA_UNKNOWN` (exit 2). */
export function unknownSchema(job: string): SuretyError {
  return new SuretyError("SCHEMA_UNKNOWN", `no job ${job} was registered here`, {
    details: { job },
    fix: "Give the id that registering printed, and the address book it was registered with.",
    exit: ExitStatus.badInput,
  });
}
