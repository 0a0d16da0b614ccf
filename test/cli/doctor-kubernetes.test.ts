import { expect } from "chai";
import { kubernetesExecutorSchema } from "../../agents/config/kubernetes-executor.ts";
import { examineCluster } from "../../agents/doctor/cluster.ts";
import { needCluster, TestNamespace } from "../support/cluster.ts";

const signal = new AbortController().signal;

describe("surety doctor of a Kubernetes cluster", function () {
  this.timeout(60_000);
  let namespace: TestNamespace;

  before(async function () {
    namespace = await TestNamespace.make(await needCluster(this));
  });
  after(() => namespace?.remove());

  const examine = async (changes: object = {}): Promise<string[]> => {
    const config = kubernetesExecutorSchema.parse({
      kind: "kubernetes",
      kubeconfig: namespace.kubeconfig,
      namespace: namespace.name,
      carrier: namespace.images.carrier,
      ...changes,
    });
    const findings = await examineCluster(config, signal);
    return findings.map((each) => {
      if (each.verdict !== "ok") expect(each.fix, each.says).to.match(/^[A-Za-z].{10}/);
      return `${each.about}: ${each.verdict}${"code" in each ? `: ${each.code}` : ""}`;
    });
  };

  it("finds nothing wrong with what deploy/kubernetes makes", async () => {
    expect(await examine()).to.deep.equal(["Kubernetes: ok", "rights: ok", "pod security: ok", "network: ok"]);
  });

  it("says what rights are missing, and that nothing guards the namespace", async () => {
    expect(await examine({ namespace: "default" })).to.deep.equal([
      "Kubernetes: ok",
      "rights: problem: CLUSTER_FORBIDDEN",
      "pod security: warning",
      "network: warning",
    ]);
    const { name } = namespace;
    const patch = { kind: "Namespace", apiVersion: "v1", metadata: { name, labels: {} as Record<string, string> } };
    patch.metadata.labels["pod-security.kubernetes.io/enforce"] = "privileged";
    await namespace.objects.patch(patch);
    const policy = { name: "surety-nothing-in-nothing-out", namespace: name };
    await namespace.objects.delete({ kind: "NetworkPolicy", apiVersion: "networking.k8s.io/v1", metadata: policy });
    expect(await examine()).to.deep.equal([
      "Kubernetes: ok",
      "rights: ok",
      "pod security: warning",
      "network: warning",
    ]);
  });

  it("tells a cluster that is not there from a kubeconfig that is not", async () => {
    expect(await examine({ kubeconfig: "/nowhere" })).to.deep.equal(["Kubernetes: problem: CLUSTER_UNKNOWN"]);
    expect(await examine({ context: "none" })).to.deep.equal(["Kubernetes: problem: CLUSTER_UNKNOWN"]);
  });
});
