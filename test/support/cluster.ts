import { randomBytes } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  loadAllYaml,
  type KubernetesObject,
} from "@kubernetes/client-node";
import type { Context } from "mocha";
import { kubernetesExecutorSchema } from "../../agents/config/kubernetes-executor.ts";
import { KubernetesExecutor, type KubernetesExecutorOptions } from "../../agents/executor/kubernetes-executor.ts";
import type { ContainerProgram } from "../../agents/executor/executor.ts";
import { busyboxEntries } from "./docker-engine.ts";
import { TestRegistry } from "./registry.ts";

const folder = process.env["SURETY_CLUSTER"];
const required = (process.env["SURETY_REQUIRE"] ?? "").split(",").includes("kubernetes");
const manifest = new URL("../../deploy/kubernetes/surety.yaml", import.meta.url);

/** Skips what needs a Kubernetes cluster where there is none; fails where `SURETY_REQUIRE` names it. */
export async function needCluster(test: Context): Promise<string> {
  try {
    if (folder === undefined) throw new Error("SURETY_CLUSTER names no folder of .ci/cluster");
    await access(join(folder, "admin.conf"));
    await admin(folder).makeApiClient(CoreV1Api).listNode();
    return folder;
  } catch (error) {
    const why = (error as Error).message;
    if (required) throw new Error(`SURETY_REQUIRE asks for kubernetes: ${why}`, { cause: error });
    console.warn(`    !! SKIPPED: no Kubernetes cluster (${why}); nothing below was tested in one`);
    return test.skip();
  }
}

function admin(at: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(join(at, "admin.conf"));
  return config;
}

/** A namespace of a cluster as deploy/kubernetes makes it, images beside it, and who may do everything there. */
export class TestNamespace {
  readonly name: string;
  readonly core: CoreV1Api;
  readonly batch: BatchV1Api;
  readonly objects: KubernetesObjectApi;
  readonly registry: TestRegistry;
  /** References of an image with busybox in it, and of the carrier. */
  readonly images: { busybox: string; carrier: string };
  /** Path of the kubeconfig of the user `surety-agent`. */
  readonly kubeconfig: string;

  private constructor(
    { name, config, kubeconfig }: { name: string; config: KubeConfig; kubeconfig: string },
    registry: TestRegistry,
    images: TestNamespace["images"],
  ) {
    this.name = name;
    this.core = config.makeApiClient(CoreV1Api);
    this.batch = config.makeApiClient(BatchV1Api);
    this.objects = KubernetesObjectApi.makeApiClient(config);
    this.kubeconfig = kubeconfig;
    this.registry = registry;
    this.images = images;
  }

  static async make(at: string): Promise<TestNamespace> {
    const registry = await TestRegistry.start();
    const [busybox, carrier] = await Promise.all([
      registry.publish("tests/busybox", { entries: await busyboxEntries(), config: { Env: ["PATH=/bin"] } }),
      registry.publish("tests/carrier", {
        entries: [{ name: "carrier", mode: 0o755, bytes: await readFile(join(at, "carrier")) }],
      }),
    ]);
    const images = { busybox: busybox.reference, carrier: carrier.reference };
    const name = `surety-${randomBytes(4).toString("hex")}`;
    const place = { name, config: admin(at), kubeconfig: join(at, "agent.conf") };
    const namespace = new TestNamespace(place, registry, images);
    const text = (await readFile(manifest, "utf8")).replaceAll(/(namespace: |name: )surety$/gm, `$1${name}`);
    for (const object of loadAllYaml(text) as KubernetesObject[]) await namespace.objects.create(object);
    return namespace;
  }

  /** An executor with the rights of an agent, which nothing else shares its name with. */
  executor(changes: Partial<KubernetesExecutorOptions> = {}): KubernetesExecutor {
    const { kind: _, ...defaults } = kubernetesExecutorSchema.parse({
      kind: "kubernetes",
      kubeconfig: this.kubeconfig,
      namespace: this.name,
      carrier: this.images.carrier,
      // Machines of tests are small: tasks wait for one another.
      startSeconds: 600,
    });
    return new KubernetesExecutor({ ...defaults, owner: randomBytes(8).toString("hex"), ...changes });
  }

  /** The image with busybox in it, as a program that starts so. */
  program(entrypoint: string[], more: Partial<ContainerProgram> = {}): ContainerProgram {
    return { image: { reference: this.images.busybox }, entrypoint, ...more };
  }

  /** Names of the Jobs and pods of an agent that are there. */
  async ownedBy(owner: string): Promise<string[]> {
    const at = { namespace: this.name, labelSelector: `surety.owner=${owner}` };
    const [jobs, pods] = await Promise.all([this.batch.listNamespacedJob(at), this.core.listNamespacedPod(at)]);
    return [...jobs.items, ...pods.items].map(({ metadata }) => metadata!.name!);
  }

  /** Waits until nothing of an agent is there: the cluster ends pods in its own time. */
  async emptied(owner: string): Promise<void> {
    while ((await this.ownedBy(owner)).length > 0) await sleep(200);
  }

  async remove(): Promise<void> {
    await this.core.deleteNamespace({ name: this.name });
    this.registry.close();
  }
}
