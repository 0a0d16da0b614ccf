import { fileURLToPath } from "node:url";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type {
  Budget,
  ErrorMessage,
  FetchResultsRequest,
  FetchResultsResponse,
  Job,
  JobEvent,
  ListJobsRequest,
  ListJobsResponse,
  SubmitJobRequest,
  SubmitJobResponse,
  WatchJobRequest,
} from "./messages.ts";

/** Where the service is defined. */
export const protoFolder = fileURLToPath(new URL("../../proto", import.meta.url));

const PACKAGE = "surety.requester.v1";
/** Name of the service, as its health is asked by. */
export const REQUESTER_SERVICE = `${PACKAGE}.Requester`;
/** Most bytes of one message: a chunk of 1 MiB, or a list of jobs. */
export const MAX_MESSAGE_BYTES = 4 * 2 ** 20;
/** Most bytes of a chunk that the service takes. */
export const MAX_CHUNK_BYTES = 2 ** 20;
/** What this program itself puts into a chunk, bytes. */
export const CHUNK_BYTES = 256 * 1024;

/** The calls with what they take and give. */
export interface RequesterService extends ServiceDefinition {
  SubmitJob: MethodDefinition<SubmitJobRequest, SubmitJobResponse>;
  GetJob: MethodDefinition<{ job: string }, Job>;
  ListJobs: MethodDefinition<ListJobsRequest, ListJobsResponse>;
  WatchJob: MethodDefinition<WatchJobRequest, JobEvent>;
  FetchResults: MethodDefinition<FetchResultsRequest, FetchResultsResponse>;
  CancelJob: MethodDefinition<{ job: string }, Job>;
  GetBudget: MethodDefinition<object, Budget>;
}

const definitions = loadSync("surety/requester/v1/requester.proto", {
  includeDirs: [protoFolder],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** The service as gRPC knows it. */
export const requesterService = definitions[REQUESTER_SERVICE] as unknown as RequesterService;

/** Writes and reads the message that says why a call failed. */
export const errorMessage = definitions[`${PACKAGE}.Error`] as unknown as {
  serialize(message: ErrorMessage): Buffer;
  deserialize(bytes: Buffer): ErrorMessage;
};
