/*
 * What a job schema's TypeScript programs run on.
 *
 * An image is started once for every call, as `surety-schema.ts worker` or `surety-schema.ts evaluator`. This serves the
 * class of that name in worker.ts or evaluator.ts as the gRPC service of the schema's proto on a socket in the container,
 * calls it with the message in /in/request, and leaves what it returns in /out/reply. The messages come from
 * /in/descriptors: nothing is generated, and there is no network.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Client, credentials, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";

const SOCKET = "unix:/tmp/program.sock";
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

const read = (path: string): Buffer | undefined => (existsSync(path) ? readFileSync(path) : undefined);

function write(path: string, content: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** 32 bytes: a worker's own, or for the evaluator those that a worker had. */
export function seed(node?: string): Buffer | undefined {
  return read(node === undefined ? "/in/seed" : `/in/seeds/${node}`);
}

/** The state that this worker's last step left, or for the evaluator a worker's; undefined where there is none. */
export function checkpoint(node?: string, number = 0): Buffer | undefined {
  return read(node === undefined ? "/in/checkpoint" : `/in/checkpoints/${node}/${number}`);
}

/** A file of the stored directory that a field named …_cid names. */
export function content(cid: string, path: string): Buffer | undefined {
  return read(`/in/content/${cid}/${path}`);
}

/** A file of test data, which an evaluator has where the request has any. */
export function testData(path: string): Buffer | undefined {
  return read(`/in/test-data/${path}`);
}

/** Puts a file into the directory whose content id the field of the reply will have. */
export function publish(field: string, path: string, bytes: Uint8Array): void {
  write(`/out/content/${field}/${path}`, bytes);
}

class Unfinished extends Error {}

/** Ends this step of a worker: it is called again with the state. */
export function continueFrom(state: Uint8Array): never {
  write("/out/checkpoint", state);
  throw new Unfinished();
}

/** A generator of numbers from 0 to below 1 that follow from a seed alone. */
export function randomOf(bytes: Uint8Array): () => number {
  const words = new Uint32Array(Uint8Array.from(bytes).buffer, 0, 4);
  let [a, b, c, d] = words as unknown as [number, number, number, number];
  return () => {
    const sum = (a + b) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    d = (d + 1) | 0;
    const mixed = (sum + d) | 0;
    c = (c + mixed) | 0;
    return (mixed >>> 0) / 2 ** 32;
  };
}

async function run(role: "worker" | "evaluator"): Promise<void> {
  const name = { worker: "Worker", evaluator: "Evaluator" }[role];
  const definitions = loadFileDescriptorSetFromBuffer(read("/in/descriptors")!, {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const found = Object.entries(definitions).find(([full]) => full === name || full.endsWith(`.${name}`));
  if (found === undefined) throw new Error(`the schema has no service ${name}`);
  const service = found[1] as ServiceDefinition;
  const [method, definition] = Object.entries(service)[0]!;
  const program = new (await import(`./${role}.ts`))[name]();
  const limits = { "grpc.max_receive_message_length": MAX_MESSAGE_BYTES };
  const server = new Server(limits);
  let unfinished = false;
  server.addService(service, {
    [method]: async (call: { request: unknown }, reply: (error: Error | null, value?: unknown) => void) => {
      try {
        reply(null, await program[method](call.request, call));
      } catch (error) {
        unfinished = error instanceof Unfinished;
        if (unfinished) reply(null, {});
        else {
          process.stderr.write(`${(error as Error).stack ?? error}\n`);
          reply(error as Error);
        }
      }
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(SOCKET, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  const client = new Client(SOCKET, credentials.createInsecure(), limits);
  const same = (bytes: Buffer): Buffer => bytes;
  try {
    const reply = await new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(definition.path, same, same, read("/in/request")!, (error, value) =>
        error ? reject(error) : resolve(value!),
      ),
    );
    if (!unfinished) write("/out/reply", reply);
  } finally {
    client.close();
    server.forceShutdown();
  }
}

// Not awaited: worker.ts and evaluator.ts import this file, and wait until it has ended.
if (import.meta.main) {
  run(process.argv[2] as "worker" | "evaluator").catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
