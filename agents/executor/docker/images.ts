import type Docker from "dockerode";
import type { ImageInspectInfo } from "dockerode";
import { isImageReference } from "#sdk/container-spec.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ContainerProgram } from "../executor.ts";
import { engineError } from "./engine.ts";
import { checkConfiguration, checkedImage, MAX_LAYERS, tooLarge, unsuitable } from "./image-tar.ts";

/** What an {@link ImageStore} is told. */
export interface ImageStoreOptions {
  engine: Docker;
  /** For messages. */
  socket: string;
  /** Names the agent in the tags of what it loaded. */
  owner: string;
  /** Of one image, saved and unpacked. */
  maxImageBytes: number;
  /** Of all images this agent loaded; more are removed once nobody needs them. */
  cacheBytes: number;
  /** As the engine names it. */
  architecture: string;
}

/** An image that is there, and stays until it is given back. */
export interface LeasedImage {
  id: string;
  bytes: number;
  giveBack: () => void;
}

/** Brings images into an engine, checks that they are what a job names, and keeps some for the next task. */
export class ImageStore {
  readonly #options: ImageStoreOptions;
  readonly #repository: string;
  /** How many tasks need it, by id. */
  readonly #leases = new Map<string, number>();
  /** When each was last needed, in order, by id. */
  readonly #used = new Map<string, number>();
  #uses = 0;
  /** One image is loaded at a time: the second task of a job finds it there. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ImageStoreOptions) {
    this.#options = options;
    this.#repository = `surety-${options.owner}`;
  }

  /**
   * Sees to it that an image is in the engine, and keeps it there.
   *
   * @throws SuretyError `IMAGE_INVALID`, `IMAGE_MISMATCH`, `IMAGE_TOO_LARGE`, `IMAGE_UNSUITABLE`, `IMAGE_UNAVAILABLE`,
   * `ENGINE_UNREACHABLE`, `EXECUTOR_FAILED`; what the program's `open` throws; the signal's reason
   */
  async lease(program: ContainerProgram, signal: AbortSignal): Promise<LeasedImage> {
    const mine = this.#turn.then(() => this.#bring(program, signal));
    this.#turn = mine.catch(() => undefined);
    const { Id: id, Size: bytes } = await mine;
    let isMine = true;
    const giveBack = (): void => {
      if (!isMine) return;
      isMine = false;
      this.#leases.set(id, this.#leases.get(id)! - 1);
    };
    return { id, bytes, giveBack };
  }

  async #bring(program: ContainerProgram, signal: AbortSignal): Promise<ImageInspectInfo> {
    signal.throwIfAborted();
    const { socket } = this.#options;
    const { image } = program;
    const name = "cid" in image ? image.id : image.reference;
    try {
      const info = (await this.#inspect(name)) ?? (await this.#fetch(program, name, signal));
      this.#check(info, program);
      this.#uses += 1;
      this.#used.set(info.Id, this.#uses);
      this.#leases.set(info.Id, (this.#leases.get(info.Id) ?? 0) + 1);
      await this.#evict();
      return info;
    } catch (error) {
      // Whatever broke because of it.
      if (signal.aborted) throw signal.reason;
      throw engineError(error, socket);
    }
  }

  /** Has the engine load or pull an image under a name of ours; one that is refused does not stay. */
  async #fetch(program: ContainerProgram, name: string, signal: AbortSignal): Promise<ImageInspectInfo> {
    const { image } = program;
    try {
      if ("cid" in image) await this.#load(program, image.id, signal);
      else await this.#pull(image.reference, signal);
      const info = await this.#named(name);
      if (info === undefined) throw mismatch(name);
      this.#check(info, program);
      return info;
    } catch (error) {
      const refused = await this.#named(name).catch(() => undefined);
      if (refused) await this.#remove(refused.Id).catch(() => undefined);
      throw error;
    }
  }

  async #named(name: string): Promise<ImageInspectInfo | undefined> {
    const info = await this.#inspect(name);
    const tag = info?.Id.slice("sha256:".length);
    if (info) await this.#options.engine.getImage(info.Id).tag({ repo: this.#repository, tag });
    return info;
  }

  /** @throws SuretyError `IMAGE_MISMATCH`, `IMAGE_TOO_LARGE`, `IMAGE_UNSUITABLE` */
  #check(info: ImageInspectInfo, { image }: ContainerProgram): void {
    if ("cid" in image && info.Id !== image.id) throw mismatch(image.id, info.Id);
    const { maxImageBytes: maxBytes, architecture } = this.#options;
    if (info.Size > maxBytes) throw tooLarge(`the image has ${info.Size} bytes`, { bytes: info.Size, maxBytes });
    const layers = info.RootFS.Layers?.length ?? 0;
    if (layers > MAX_LAYERS) throw unsuitable(`the image has ${layers} layers`, "Flatten it.", { layers });
    if (info.Architecture !== architecture) {
      throw unsuitable(
        `the image is for ${info.Architecture}, this host is ${architecture}`,
        "Leave it to other hosts.",
      );
    }
    checkConfiguration({
      os: info.Os,
      architecture: info.Architecture,
      rootfs: { type: "layers", diff_ids: [] },
      config: info.Config as { Volumes?: Record<string, unknown> | null },
    });
  }

  async #inspect(name: string): Promise<ImageInspectInfo | undefined> {
    try {
      return await this.#options.engine.getImage(name).inspect();
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined;
      throw error;
    }
  }

  async #load({ open }: ContainerProgram, id: string, signal: AbortSignal): Promise<void> {
    if (open === undefined) throw unavailable(id, "there is no way to fetch it");
    const maxBytes = this.#options.maxImageBytes;
    const tar = checkedImage(open({ maxBytes, signal }), { id, maxBytes });
    const stop = (): void => void tar.destroy(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    let fault: unknown;
    tar.once("error", (error) => (fault = error));
    try {
      const answer = await this.#options.engine.loadImage(tar, { quiet: true });
      const problem = await problemIn(answer);
      if (problem !== undefined) throw invalidInEngine(problem);
    } catch (error) {
      // The request broke because of it.
      throw fault ?? error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #pull(reference: string, signal: AbortSignal): Promise<void> {
    if (!isImageReference(reference)) throw unavailable(reference, "it is not named by digest");
    const maxBytes = this.#options.maxImageBytes;
    let answer: NodeJS.ReadableStream;
    try {
      answer = (await this.#options.engine.pull(reference, { abortSignal: signal })) as NodeJS.ReadableStream;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const { statusCode, message } = error as { statusCode?: number; message?: string };
      if (statusCode === undefined) throw error;
      throw unavailable(reference, message ?? "", error);
    }
    /** Compressed bytes, by layer. */
    const sizes = new Map<string, number>();
    const problem = await problemIn(answer, ({ id = "", progressDetail }) => {
      if (progressDetail?.total !== undefined) sizes.set(id, progressDetail.total);
      const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      // Leaving the answer ends the pull.
      if (bytes > maxBytes) throw tooLarge(`the image has more than ${maxBytes} bytes`, { maxBytes });
    });
    signal.throwIfAborted();
    if (problem !== undefined) throw unavailable(reference, problem);
  }

  /** Removes images this agent brought, least recently used first, until the others fit. */
  async #evict(): Promise<void> {
    const { engine, cacheBytes } = this.#options;
    const images = await engine.listImages({ filters: { reference: [`${this.#repository}:*`] } });
    let bytes = images.reduce((sum, { Size }) => sum + Size, 0);
    // Those of an earlier life come first.
    const byUse = images.sort((a, b) => (this.#used.get(a.Id) ?? -1) - (this.#used.get(b.Id) ?? -1));
    for (const { Id, Size } of byUse) {
      if (bytes <= cacheBytes) return;
      if ((this.#leases.get(Id) ?? 0) > 0) continue;
      await this.#remove(Id);
      bytes -= Size;
    }
  }

  async #remove(id: string): Promise<void> {
    const { engine } = this.#options;
    const ours = `${this.#repository}:${id.slice("sha256:".length)}`;
    try {
      await engine.getImage(ours).remove();
      const left = await this.#inspect(id);
      // Whoever else gave it a name still wants it.
      if (left !== undefined && (left.RepoTags ?? []).length === 0) {
        for (const digest of left.RepoDigests ?? []) await engine.getImage(digest).remove();
      }
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      // Gone, or needed by a container of somebody else.
      if (statusCode !== 404 && statusCode !== 409) throw error;
    }
  }
}

interface Progress {
  id?: string;
  progressDetail?: { total?: number };
  error?: string;
}

/** Most bytes of what an engine says while it loads or pulls. */
const MAX_LINE_BYTES = 1024 * 1024;

/** Reads what an engine says while it works. @returns what went wrong, in its words */
async function problemIn(
  answer: NodeJS.ReadableStream,
  look: (progress: Progress) => void = () => undefined,
): Promise<string | undefined> {
  let rest = "";
  let problem: string | undefined;
  for await (const piece of answer) {
    rest += String(piece);
    if (rest.length > MAX_LINE_BYTES) throw new Error("the engine's answer has no lines");
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.trim() === "") continue;
      const progress = JSON.parse(line) as Progress;
      problem ??= progress.error;
      look(progress);
    }
  }
  return problem;
}

function mismatch(expected: string, actual?: string): SuretyError {
  return new SuretyError("IMAGE_MISMATCH", `the engine made another image of it than ${expected}`, {
    details: { expected, actual },
    fix: "Use an engine that names images by their configuration: one without the containerd image store.",
    exit: ExitStatus.badInput,
  });
}

function unavailable(reference: string, reason: string, cause?: unknown): SuretyError {
  return new SuretyError("IMAGE_UNAVAILABLE", `the image ${reference} cannot be had: ${reason}`, {
    details: { reference, reason },
    fix: "See whether this host can reach the image's registry.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
    cause,
  });
}

function invalidInEngine(reason: string): SuretyError {
  return new SuretyError("IMAGE_INVALID", `the engine does not load the image: ${reason}`, {
    details: { reason },
    fix: "Save it with docker save.",
    exit: ExitStatus.badInput,
  });
}
