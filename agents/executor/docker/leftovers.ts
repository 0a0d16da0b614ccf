import type Docker from "dockerode";
import { LABEL } from "./confinement.ts";

/** Milliseconds between tries to remove what the engine still holds. */
const AGAIN_MS = 200;
const TRIES = 25;

/**
 * Removes containers and volumes that an agent made in an engine: what runs is killed.
 *
 * @param owner Which agent.
 * @param spare Tasks whose things are left alone.
 * @returns how many containers were removed
 */
export async function removeLeftovers(
  engine: Docker,
  owner: string,
  spare: { has(task: string): boolean },
): Promise<number> {
  const filters = { label: [`${LABEL.owner}=${owner}`] };
  const isLeft = ({ Labels }: { Labels?: Record<string, string> | null }): boolean =>
    !spare.has(Labels?.[LABEL.task] ?? "");
  const containers = (await engine.listContainers({ all: true, filters })).filter(isLeft);
  for (const { Id } of containers) await remove(() => engine.getContainer(Id).remove({ force: true, v: true }));
  const { Volumes } = await engine.listVolumes({ filters });
  for (const { Name } of (Volumes ?? []).filter(isLeft)) await remove(() => engine.getVolume(Name).remove());
  return containers.length;
}

/**
 * Removes one thing, through what the engine has still to do with it.
 *
 * @throws what the engine's client throws
 */
export async function remove(removal: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await removal();
      return;
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode === 404) return;
      // 409: it is being removed, or its container is not quite gone; 500: a mount that is still busy.
      if ((statusCode !== 409 && statusCode !== 500) || attempt === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}
