/** What the SDK has for Node and browsers alike; `@surety/sdk/node` has the rest. */
export * from "./amount.ts";
export * from "./batch-manifest.ts";
export * as calls from "./calls.ts";
export * from "./client.ts";
export * from "./clock.ts";
export * from "./commitment.ts";
export * from "./container-spec.ts";
export * from "./content.ts";
export * from "./context.ts";
export * from "./deployment.ts";
export * from "./dispute.ts";
export * from "./draw.ts";
export * from "./ended-panel.ts";
export * from "./envelope.ts";
export * from "./errors.ts";
export * from "./event-store.ts";
export * from "./events.ts";
export * from "./follower.ts";
export * from "./gateway.ts";
export * as hpke from "./hpke.ts";
export * from "./job-file.ts";
export * from "./job-file-error.ts";
export { containerJobFileSchema, jobFileJsonSchema, jobFileSchema } from "./job-file-schema.ts";
export { MAX_JOB_FILE_BYTES } from "./job-file-yaml.ts";
export {
  buildJobSpec,
  JOB_SPEC_FILE,
  jobSpecSchema,
  MAX_JOB_SPEC_BYTES,
  parseJobSpec,
  taskArgs,
  type ContainerJobSpec,
  type ExecutorName,
  type JobSpec,
  type Limits,
  type WasmJobSpec,
} from "./job-spec.ts";
export * from "./json-rpc.ts";
export * from "./kubo.ts";
export * from "./market-abi.ts";
export * from "./market-state.ts";
export * from "./permutation.ts";
export * from "./pricing.ts";
export * as reads from "./reads.ts";
export * from "./reputation.ts";
export * as requestCalls from "./request-calls.ts";
export * from "./request-content.ts";
export * from "./request-events.ts";
export * from "./request-settlement.ts";
export * from "./request-state.ts";
export * from "./request-terms.ts";
export * from "./resource-trace.ts";
export * from "./result-manifest.ts";
export * from "./results.ts";
export * from "./rewards.ts";
export * from "./sampling.ts";
export * from "./schema-evaluation.ts";
export { parseSchemaFile, SCHEMA_FILE, schemaRewards, verifications } from "./schema-file.ts";
export type { ContainerSchemaFile, SchemaFile, SchemaReward, Verification, WasmSchemaFile } from "./schema-file.ts";
export * from "./schema-message.ts";
export * from "./schema-proto.ts";
export * from "./schema-release.ts";
export * from "./schema-seed.ts";
export * from "./sealed-content.ts";
export * from "./sealed-file.ts";
export * from "./seed.ts";
export * as settlement from "./settlement.ts";
export type { ImageSource, Source } from "./source.ts";
export * from "./storage.ts";
export * from "./stored-path.ts";
export * from "./terms.ts";
