import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { V1Status } from "@kubernetes/client-node";
import type { Cluster } from "./cluster.ts";

/** Bytes of standard input sent at a time. */
const PIECE = 128 * 1024;
/** Characters kept of what a command says of an error. */
const MOST_SAID = 4096;
/** Kinds of the messages of Kubernetes' streams. */
const STREAM = { stdin: 0, stdout: 1, stderr: 2, status: 3 } as const;

/** The part of a web socket that is used here; the client's own type of it is of a package it does not bring. */
interface Socket {
  readonly OPEN: number;
  readonly readyState: number;
  send(bytes: Uint8Array, sent: (error?: Error) => void): void;
  pause(): void;
  resume(): void;
  close(): void;
  terminate(): void;
  addEventListener(name: "close" | "error", listener: () => void): void;
}

/** A command in a container of a pod. */
export interface PodCommand {
  namespace: string;
  pod: string;
  container: string;
  command: string[];
}

/** A command's streams while it runs. */
interface Running {
  /** What it writes to standard output; ends when the command has ended well, and fails when it did not. */
  stdout: Readable;
  /** What it wrote to its standard error, once it has ended. */
  said: Promise<string>;
}

/** Runs a command in a container and hands it bytes. Resolves when it has ended well. */
export async function tell(
  cluster: Cluster,
  command: PodCommand,
  stdin: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const { stdout, said } = await begin(cluster, command, stdin, signal);
  stdout.resume();
  await said;
}

/**
 * Runs a command in a container that writes bytes to standard output, and to standard error how many they are and their
 * SHA-256. The stream fails if they are not what arrives. Whoever destroys it ends the connection.
 */
export async function ask(cluster: Cluster, command: PodCommand, signal: AbortSignal): Promise<Readable> {
  const { stdout } = await begin(cluster, command, undefined, signal);
  return stdout;
}

async function begin(
  cluster: Cluster,
  { namespace, pod, container, command }: PodCommand,
  stdin: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Running> {
  signal.throwIfAborted();
  const query = new URLSearchParams({ container, stdout: "true", stderr: "true", stdin: String(stdin !== undefined) });
  for (const word of command) query.append("command", word);
  const { promise: said, resolve: end, reject } = Promise.withResolvers<string>();
  // Whoever reads only the stream hears of it there.
  said.catch(() => undefined);
  const hash = createHash("sha256");
  let [bytes, words] = [0, ""];
  let socket: Socket | undefined;
  const stdout = new Readable({
    read: () => socket?.resume(),
    destroy: (error, done) => {
      stop(error ?? new Error("nobody reads it any more"));
      done(error);
    },
  });
  stdout.on("error", () => undefined);
  let over = false;
  const stop = (why: Error): void => {
    signal.removeEventListener("abort", aborted);
    socket?.terminate();
    if (over) return;
    over = true;
    reject(why);
    stdout.destroy(why);
  };
  const aborted = (): void => stop(signal.reason as Error);
  const ended = (status: V1Status): void => {
    if (status.status !== "Success") return stop(new Error(words.trim() || status.message || "it failed"));
    if (stdin === undefined && words.trim() !== `${bytes} ${hash.digest("hex")}`) {
      return stop(new Error(`${bytes} bytes arrived, and not those that were sent: ${words.trim()}`));
    }
    over = true;
    signal.removeEventListener("abort", aborted);
    socket?.close();
    stdout.push(null);
    end(words);
  };
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query.toString()}`;
  try {
    socket = (await cluster.streams.connect(path, null, (kind: number, piece: Buffer) => {
      if (over) return false;
      if (kind === STREAM.stdout && piece.length > 0) {
        bytes += piece.length;
        hash.update(piece);
        if (!stdout.push(piece)) socket?.pause();
      } else if (kind === STREAM.stderr) words = (words + piece.toString("utf8")).slice(0, MOST_SAID);
      else if (kind === STREAM.status) ended(JSON.parse(piece.toString("utf8")) as V1Status);
      return true;
    })) as Socket;
  } catch (error) {
    // What is thrown is an event.
    throw new Error((error as { message?: string }).message ?? "the connection was refused", { cause: error });
  }
  const gone = (): void => stop(new Error("the connection broke"));
  socket.addEventListener("close", gone);
  socket.addEventListener("error", gone);
  signal.addEventListener("abort", aborted, { once: true });
  if (signal.aborted) aborted();
  if (over) socket.close();
  else if (socket.readyState !== socket.OPEN) gone();
  if (stdin !== undefined) await send(socket, stdin).catch((error: Error) => stop(error));
  return { stdout, said };
}

async function send(socket: Socket, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length; from += PIECE) {
    const piece = Buffer.concat([Uint8Array.of(STREAM.stdin), bytes.subarray(from, from + PIECE)]);
    await new Promise<void>((resolve, reject) => socket.send(piece, (error) => (error ? reject(error) : resolve())));
  }
}
