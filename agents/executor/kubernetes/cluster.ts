import {
  BatchV1Api,
  createConfiguration,
  CoreV1Api,
  Exec,
  KubeConfig,
  NetworkingV1Api,
  ServerConfiguration,
  VersionApi,
  AuthorizationV1Api,
  type RequestContext,
  type ResponseContext,
} from "@kubernetes/client-node";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { KubernetesExecutorConfig } from "../../config/kubernetes-executor.ts";

/** One request takes no longer until it answers, milliseconds. */
const REQUEST_MS = 30_000;

/** Which cluster, as whom. */
export type ClusterOptions = Pick<KubernetesExecutorConfig, "kubeconfig" | "context">;

/** The parts of a cluster's API that are used here. */
export interface ClusterApi {
  core: CoreV1Api;
  batch: BatchV1Api;
  authorization: AuthorizationV1Api;
  networking: NetworkingV1Api;
  version: VersionApi;
}

/** A cluster's API server, and who the agent is there. */
export interface Cluster {
  /** Address of the API server. */
  server: string;
  /** The API, its requests ended by a signal, and by time. */
  api(signal?: AbortSignal): ClusterApi;
  /** Opens streams to containers. */
  streams: Exec["handler"];
}

/**
 * A client of the cluster that a configuration names. No connection is made yet.
 *
 * @throws SuretyError `CLUSTER_UNKNOWN` if there is no such kubeconfig or context, or no service account to use
 */
export function connectCluster({ kubeconfig, context }: ClusterOptions): Cluster {
  const config = new KubeConfig();
  try {
    if (kubeconfig !== undefined) config.loadFromFile(kubeconfig);
    else if (process.env["KUBERNETES_SERVICE_HOST"] === undefined) throw new Error("this process runs in no pod");
    else config.loadFromCluster();
    if (context !== undefined) {
      if (config.getContextObject(context) === null) throw new Error(`there is no context ${context}`);
      config.setCurrentContext(context);
    }
  } catch (cause) {
    throw unknown((cause as Error).message, { kubeconfig, context }, cause);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw unknown("its current context names no cluster", { kubeconfig, context });
  const api = (signal?: AbortSignal): ClusterApi => {
    const configuration = createConfiguration({
      baseServer: new ServerConfiguration(cluster.server, {}),
      authMethods: { default: config },
      promiseMiddleware: [
        {
          pre: (request: RequestContext) => {
            const late = AbortSignal.timeout(REQUEST_MS);
            request.setSignal(signal === undefined ? late : AbortSignal.any([signal, late]));
            return Promise.resolve(request);
          },
          post: (response: ResponseContext) => Promise.resolve(response),
        },
      ],
    });
    return {
      core: new CoreV1Api(configuration),
      batch: new BatchV1Api(configuration),
      authorization: new AuthorizationV1Api(configuration),
      networking: new NetworkingV1Api(configuration),
      version: new VersionApi(configuration),
    };
  };
  return { server: cluster.server, api, streams: new Exec(config).handler };
}

function unknown(reason: string, { kubeconfig, context }: ClusterOptions, cause?: unknown): SuretyError {
  const where = kubeconfig === undefined ? "the service account of this pod" : `the kubeconfig ${kubeconfig}`;
  return new SuretyError("CLUSTER_UNKNOWN", `${where} cannot be used: ${reason}`, {
    details: { kubeconfig, context, reason },
    fix: "Name a kubeconfig in executor.kubeconfig, and one of its contexts in executor.context.",
    exit: ExitStatus.badInput,
    cause,
  });
}

/** What the API said of a request that it refused; undefined if it did not answer. */
export function refusal(error: unknown): { status: number; reason: string } | undefined {
  const { code, body } = error as { code?: unknown; body?: unknown };
  if (typeof code !== "number") return undefined;
  let said: unknown = body;
  try {
    if (typeof body === "string") said = JSON.parse(body);
  } catch {
    // Somebody between here and there answered in words of their own.
  }
  const { message } = (said ?? {}) as { message?: unknown };
  return { status: code, reason: typeof message === "string" ? message : `HTTP status ${code}` };
}

/** What the cluster's client threw, as the error this package throws for it. */
export function clusterError(cause: unknown, server: string): SuretyError {
  if (cause instanceof SuretyError) return cause;
  const refused = refusal(cause);
  if (refused === undefined) {
    const { message, cause: deeper } = cause as { message?: string; cause?: { message?: string } };
    const reason = deeper?.message ?? message ?? String(cause);
    return new SuretyError("CLUSTER_UNREACHABLE", `the API server ${server} does not answer: ${reason}`, {
      details: { server, reason },
      fix: "See whether this host reaches it (kubectl get --raw /readyz), or name another: executor.kubeconfig.",
      exit: ExitStatus.unavailable,
      kind: "retryable",
      cause,
    });
  }
  const details = { server, status: refused.status, reason: refused.reason };
  if (refused.status === 401 || refused.status === 403) {
    return new SuretyError("CLUSTER_FORBIDDEN", `the API server ${server} refuses: ${refused.reason}`, {
      details,
      fix: "Give the agent's user the role in deploy/kubernetes/surety.yaml.",
      exit: ExitStatus.unavailable,
      cause,
    });
  }
  return new SuretyError("EXECUTOR_FAILED", `the API server ${server} refuses: ${refused.reason}`, {
    details,
    exit: ExitStatus.unavailable,
    kind: "retryable",
    cause,
  });
}
