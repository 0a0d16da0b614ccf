import type { KubernetesExecutorConfig } from "../config/kubernetes-executor.ts";
import { clusterError, connectCluster, refusal, type Cluster } from "../executor/kubernetes/cluster.ts";
import { fromError, ok, problem, warning, type Finding } from "./finding.ts";

/** The oldest minor version of 1 in which all that is used is there unless somebody turned it off. */
const LEAST_MINOR = 29;

/** What an agent does in its namespace. */
const RIGHTS = [
  { group: "batch", resource: "jobs", verbs: ["create", "list", "delete"] },
  { group: "", resource: "pods", verbs: ["list"] },
  { group: "", resource: "pods", subresource: "exec", verbs: ["get", "create"] },
  { group: "", resource: "events", verbs: ["list"] },
] as const;

const ROLE =
  "Apply deploy/kubernetes/surety.yaml as somebody who may, and be its user or service account surety-agent.";

/** Looks at the cluster that runs tasks, without making anything in it. */
export async function examineCluster(config: KubernetesExecutorConfig, signal: AbortSignal): Promise<Finding[]> {
  let cluster: Cluster;
  try {
    cluster = connectCluster(config);
  } catch (error) {
    return [fromError("Kubernetes", error, "Name a kubeconfig in executor.kubeconfig.")];
  }
  let findings: Finding[];
  try {
    const { gitVersion, major, minor } = await cluster.api(signal).version.getCode();
    findings = [version(cluster.server, gitVersion, Number(major), Number.parseInt(minor, 10))];
  } catch (error) {
    signal.throwIfAborted();
    return [fromError("Kubernetes", clusterError(error, cluster.server), "See whether the cluster is up.")];
  }
  for (const examineOne of [rights, podSecurity, network]) {
    try {
      findings.push(await examineOne(cluster, config, signal));
    } catch (error) {
      signal.throwIfAborted();
      findings.push(fromError(examineOne.name, clusterError(error, cluster.server), ROLE));
    }
  }
  return findings;
}

function version(server: string, found: string, major: number, minor: number): Finding {
  const says = `${found} at ${server}`;
  if (major > 1 || minor >= LEAST_MINOR) return ok("Kubernetes", says);
  return warning("Kubernetes", `${says}, older than was tried`, `Use 1.${LEAST_MINOR} or newer.`);
}

async function rights(
  cluster: Cluster,
  { namespace }: KubernetesExecutorConfig,
  signal: AbortSignal,
): Promise<Finding> {
  const { authorization } = cluster.api(signal);
  const wanted = RIGHTS.flatMap(({ verbs, ...resource }) => verbs.map((verb) => ({ ...resource, verb })));
  const answers = await Promise.all(
    wanted.map(async (resourceAttributes) => {
      const spec = { resourceAttributes: { namespace, ...resourceAttributes } };
      const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec };
      return (await authorization.createSelfSubjectAccessReview({ body })).status?.allowed === true;
    }),
  );
  const missing = wanted
    .filter((_, place) => !answers[place])
    .map((each) => `${each.verb} ${each.resource}${"subresource" in each ? `/${each.subresource}` : ""}`);
  if (missing.length === 0) return ok("rights", `all that is needed in the namespace ${namespace}`);
  return problem(
    "rights",
    `in the namespace ${namespace} it may not: ${missing.join(", ")}`,
    ROLE,
    "CLUSTER_FORBIDDEN",
  );
}

async function podSecurity(
  cluster: Cluster,
  { namespace }: KubernetesExecutorConfig,
  signal: AbortSignal,
): Promise<Finding> {
  const label = "pod-security.kubernetes.io/enforce";
  const about = "pod security";
  try {
    const { metadata } = await cluster.api(signal).core.readNamespace({ name: namespace });
    const level = metadata?.labels?.[label];
    if (level === "restricted") return ok(about, `the namespace ${namespace} takes restricted pods only`);
    return warning(
      about,
      `the namespace ${namespace} takes ${level === undefined ? "any pods" : `${level} pods`}`,
      `kubectl label --overwrite namespace ${namespace} ${label}=restricted`,
    );
  } catch (error) {
    if (refusal(error)?.status === 404) {
      return problem(about, `there is no namespace ${namespace}`, ROLE, "EXECUTOR_UNSUITABLE");
    }
    if (refusal(error)?.status === 403) return warning(about, "it may not be looked at", ROLE);
    throw error;
  }
}

/** Whether it is kept nobody can tell from here: that depends on what connects the cluster's pods. */
async function network(
  cluster: Cluster,
  { namespace }: KubernetesExecutorConfig,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    const { items } = await cluster.api(signal).networking.listNamespacedNetworkPolicy({ namespace });
    const closes = items.some(({ spec }) => {
      const everybody = Object.keys(spec?.podSelector ?? {}).length === 0;
      const nobody = (spec?.ingress ?? []).length === 0 && (spec?.egress ?? []).length === 0;
      return everybody && nobody && ["Ingress", "Egress"].every((type) => spec?.policyTypes?.includes(type));
    });
    if (closes) return ok("network", "a policy allows none; see that the cluster's network keeps it");
    return warning("network", `no policy keeps pods of the namespace ${namespace} from the network`, ROLE);
  } catch (error) {
    if (refusal(error)?.status === 403) return warning("network", "its policies may not be looked at", ROLE);
    throw error;
  }
}
