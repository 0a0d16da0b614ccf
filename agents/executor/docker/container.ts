import { setTimeout as sleep } from "node:timers/promises";
import { json, text } from "node:stream/consumers";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { GetEventsOptions } from "dockerode";
import { remove } from "./leftovers.ts";
import type { ContainerEnd } from "./exit.ts";

/** How long the engine may take to say that a process was killed for want of memory, after it said that it was killed. */
const OOM_TRIES = 40;
const OOM_WAIT_MS = 50;
const KILLED = 137;

/**
 * Waits for the next end of a container. The promise is made before the container is started, and resolves to another one
 * once the engine listens: however short it runs, its end is not missed. A connection that breaks is an error, which
 * dockerode's own way of waiting would never tell.
 */
export async function awaitEnd(engine: Docker, id: string): Promise<{ ended: Promise<number> }> {
  const answer = await new Promise<Readable>((resolve, reject) => {
    const path = `/containers/${id}/wait?`;
    const options = { condition: "next-exit" };
    const statusCodes = { 200: true, 404: "no such container", 500: "server error" };
    engine.modem.dial({ path, options, method: "POST", isStream: true, statusCodes }, (error, stream) =>
      error ? reject(error as Error) : resolve(stream as Readable),
    );
  });
  const ended = json(answer).then((value) => {
    const { StatusCode, Error: problem } = value as { StatusCode: number; Error?: { Message?: string } | null };
    if (problem?.Message) throw new Error(problem.Message);
    return StatusCode;
  });
  // Whoever does not come to wait for it has failed otherwise.
  ended.catch(() => undefined);
  return { ended };
}

/** What the engine knows of a container that has ended. */
export async function endOf(engine: Docker, id: string, code: number): Promise<ContainerEnd> {
  for (let attempt = 1; ; attempt += 1) {
    const { State } = await engine.getContainer(id).inspect();
    // The engine hears of both by different ways.
    if (State.OOMKilled || code !== KILLED || attempt === OOM_TRIES) return { code, outOfMemory: State.OOMKilled };
    await sleep(OOM_WAIT_MS);
  }
}

/**
 * Whether somebody had the engine send a signal to a container: an operator, or the engine itself as it ended. Whatever
 * status the program left then is not its own.
 */
export async function wasSignalled(engine: Docker, id: string): Promise<boolean> {
  const until = (Date.now() / 1000).toFixed(3);
  const filters = { container: [id], event: ["kill"] };
  const found = (await engine.getEvents({
    since: 0,
    until,
    filters,
  } as unknown as GetEventsOptions)) as NodeJS.ReadableStream;
  const events = await text(found);
  return events.trim() !== "";
}

/** Kills a container's processes, if there are any left. */
export async function kill(engine: Docker, id: string): Promise<void> {
  await engine
    .getContainer(id)
    .kill({ signal: "SIGKILL" })
    .catch((error: { statusCode?: number }) => {
      // It has ended already.
      if (error.statusCode !== 409 && error.statusCode !== 404) throw error;
    });
}

/** Removes a task's containers, and then its volumes. */
export async function removeTask(engine: Docker, containers: string[], volumes: string[]): Promise<void> {
  await Promise.all(containers.map((name) => remove(() => engine.getContainer(name).remove({ force: true, v: true }))));
  await Promise.all(volumes.map((name) => remove(() => engine.getVolume(name).remove())));
}
