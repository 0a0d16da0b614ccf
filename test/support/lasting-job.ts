import { kubernetesExecutorSchema } from "../../agents/config/kubernetes-executor.ts";
import { KubernetesExecutor } from "../../agents/executor/kubernetes-executor.ts";
import { shell, testTask } from "./docker-engine.ts";

/* An agent's process with a task in a cluster that lasts until somebody ends both. */

const { owner, name, images, kubeconfig } = JSON.parse(process.env["AGENT"]!) as {
  owner: string;
  name: string;
  images: { busybox: string; carrier: string };
  kubeconfig: string;
};
const { kind: _, ...config } = kubernetesExecutorSchema.parse({
  kind: "kubernetes",
  kubeconfig,
  namespace: name,
  carrier: images.carrier,
});
const program = { image: { reference: images.busybox }, entrypoint: shell("sleep 600") };
await new KubernetesExecutor({ ...config, owner }).run(testTask(program));
