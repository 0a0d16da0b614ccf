import type { V1Pod } from "@kubernetes/client-node";
import { setTimeout as sleep } from "node:timers/promises";
import { clusterError, type Cluster } from "./cluster.ts";
import { LABEL } from "../docker/confinement.ts";

/** Milliseconds from one look at the pods to the next. */
const LOOK_MS = 250;
/** The API server may be away for so long before tasks are given up, milliseconds. */
const AWAY_MS = 60_000;
const PAGE = 500;

/**
 * Looks at all pods of an agent, for all of its tasks at once, as long as one of them waits for something. It asks anew
 * each time instead of being told: whoever is told must know what it missed.
 */
export class Sightings {
  readonly #cluster: Cluster;
  readonly #namespace: string;
  readonly #owner: string;
  #next: Promise<ReadonlyMap<string, V1Pod>> | undefined;

  constructor(cluster: Cluster, { namespace, owner }: { namespace: string; owner: string }) {
    this.#cluster = cluster;
    this.#namespace = namespace;
    this.#owner = owner;
  }

  /**
   * What is there a moment from now: pods by task.
   *
   * @throws SuretyError `CLUSTER_UNREACHABLE`, `CLUSTER_FORBIDDEN`, `EXECUTOR_FAILED`; the signal's reason
   */
  async next(signal: AbortSignal): Promise<ReadonlyMap<string, V1Pod>> {
    signal.throwIfAborted();
    const next = (this.#next ??= this.#look());
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([next, aborted]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #look(): Promise<ReadonlyMap<string, V1Pod>> {
    try {
      await sleep(LOOK_MS);
    } finally {
      // Who asks from now on is told of a later look than this.
      this.#next = undefined;
    }
    const since = performance.now();
    for (;;) {
      try {
        return await this.#list();
      } catch (error) {
        const problem = clusterError(error, this.#cluster.server);
        if (problem.kind !== "retryable" || performance.now() - since > AWAY_MS) throw problem;
        await sleep(LOOK_MS * 4);
      }
    }
  }

  async #list(): Promise<ReadonlyMap<string, V1Pod>> {
    const found = new Map<string, V1Pod>();
    const labelSelector = `${LABEL.owner}=${this.#owner}`;
    let _continue: string | undefined;
    do {
      const { core } = this.#cluster.api();
      const namespace = this.#namespace;
      const { items, metadata } = await core.listNamespacedPod({ namespace, labelSelector, limit: PAGE, _continue });
      for (const pod of items) {
        const task = pod.metadata?.labels?.[LABEL.task];
        if (task !== undefined) found.set(task, pod);
      }
      _continue = metadata?._continue;
    } while (_continue !== undefined && _continue !== "");
    return found;
  }
}
