import { z } from "zod";
import { isImageReference } from "#sdk/container-spec.ts";
import { size, text, whole } from "./value.ts";

/** A toleration, as Kubernetes has them. */
export interface Toleration {
  key?: string;
  operator?: "Equal" | "Exists";
  value?: string;
  effect?: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

/** GPUs of a cluster's machines. */
export interface ClusterGpus {
  /** Name of the resource that the cluster's device plugin offers. Defaults to `nvidia.com/gpu`. */
  resource: string;
  /** Most that one task may ask for: no more than the largest machine has. */
  count: number;
  /** Bytes of memory of each. Left out: tasks that ask for an amount are not taken. */
  memory?: number;
}

/** Tasks run as Jobs of a Kubernetes cluster. */
export interface KubernetesExecutorConfig {
  kind: "kubernetes";
  /** Path of a kubeconfig. Left out: the service account of the pod that the agent runs in. */
  kubeconfig?: string;
  /** Which of the kubeconfig's contexts. Default: its current one. */
  context?: string;
  /** Where the Jobs go. It should hold nothing else. */
  namespace: string;
  /** Image of the carrier, by digest, see docs/kubernetes.md. */
  carrier: string;
  /** RuntimeClass of tasks, such as one for gVisor. Default: the cluster's own runtime. */
  runtimeClass?: string;
  /** Labels of the machines that tasks may run on. */
  nodeSelector: Record<string, string>;
  tolerations: Toleration[];
  /** PriorityClass of tasks. */
  priorityClass?: string;
  /** Secrets in the namespace by which images are pulled. */
  imagePullSecrets: string[];
  /** GPUs that tasks may ask for. Default: none. */
  gpus?: ClusterGpus;
  /** Most CPUs one task may have. Default: whatever the cluster finds room for. */
  maxCpus?: number;
  /** Most memory one task may have, its output and scratch counted in, bytes. Default: whatever there is room for. */
  maxMemoryBytes?: number;
  /**
   * Most processes one task may ask for: what the kubelets' own limit leaves it (`podPidsLimit`), as there is no other.
   * Default: 1024.
   */
  maxProcesses: number;
  /** A task must have begun so long after its Job was made: found a place, its images pulled, its input brought. */
  startSeconds: number;
}

const label = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/);
const labelKey = z.string().regex(/^(?:[a-z0-9.-]{1,253}\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/);
const name = z.string().regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, { error: "expected a name of Kubernetes" });

/** The schema of a {@link KubernetesExecutorConfig}. */
export const kubernetesExecutorSchema = z.strictObject({
  kind: z.literal("kubernetes"),
  kubeconfig: text.optional(),
  context: text.optional(),
  namespace: z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, { error: "expected the name of a namespace" }),
  carrier: z.string().refine(isImageReference, { error: "expected an image by digest: name@sha256:…" }),
  runtimeClass: name.optional(),
  nodeSelector: z.record(labelKey, z.union([z.literal(""), label])).default({}),
  tolerations: z
    .array(
      z.strictObject({
        key: labelKey.optional(),
        operator: z.enum(["Equal", "Exists"]).optional(),
        value: label.optional(),
        effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional(),
      }),
    )
    .max(32)
    .default([]),
  priorityClass: name.optional(),
  imagePullSecrets: z.array(name).max(16).default([]),
  gpus: z
    .strictObject({ resource: labelKey.default("nvidia.com/gpu"), count: whole(1, 64), memory: size.optional() })
    .optional(),
  maxCpus: whole(1, 1024).optional(),
  maxMemoryBytes: size.optional(),
  maxProcesses: whole(1, 65_536).default(1024),
  startSeconds: whole(5, 86_400).default(600),
});
