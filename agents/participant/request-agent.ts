import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { requestsInterface, schemasInterface } from "#sdk/market-abi.ts";
import type { RequestState } from "#sdk/request-state.ts";
import { ChainAgent, openChainParts, type ChainAgentOptions, type ChainAgentParts } from "../chain-agent.ts";
import { RequestFold } from "./request-fold.ts";

/** Where the contracts of evaluated jobs are; what their ids, commitments and seals name. */
export interface EvaluatedContext {
  /** EIP-155 chain id. */
  chainId: bigint;
  /** Address of the contract of requests. */
  requests: string;
  /** Address of the contract of schemas. */
  schemas: string;
}

/**
 * An agent of evaluated jobs: what all agents have, and schemas and requests as of the newest block.
 *
 * @example
 * ```ts
 * const agent = await RequestAgent.open({ config, logger, signal, metrics });
 * await agent.run(async (head) => { ... });
 * await agent.close();
 * ```
 */
export class RequestAgent extends ChainAgent<RequestFold> {
  readonly context: EvaluatedContext;
  readonly ledgers: ReadonlyMap<string, string>;

  private constructor(parts: ChainAgentParts, context: EvaluatedContext) {
    const { requests } = context;
    super(parts, new RequestFold({ requests, account: parts.address }, { logger: parts.logger }));
    this.context = context;
    this.ledgers = new Map([["requests", requests]]);
  }

  /** @throws SuretyError `REQUESTS_NOT_DEPLOYED` (exit 2), and what {@link openChainParts} throws */
  static async open(options: ChainAgentOptions): Promise<RequestAgent> {
    const parts = await openChainParts(options, (deployment) => {
      const { schemas, requests } = contextOf(deployment);
      return { addresses: [schemas, requests], interfaces: [schemasInterface, requestsInterface] };
    });
    return new RequestAgent(parts, contextOf(parts.deployment));
  }

  /** Schemas and requests as of the newest block. Replaced after a reorganisation: do not keep it. */
  get state(): RequestState {
    return this.fold.state;
  }
}

/**
 * Where a deployment has the contracts of evaluated jobs.
 *
 * @throws SuretyError `REQUESTS_NOT_DEPLOYED` (exit 2)
 */
export function contextOf({ chainId, schemas, requests, market }: Deployment): EvaluatedContext {
  if (schemas !== undefined && requests !== undefined) return { chainId: BigInt(chainId), schemas, requests };
  throw new SuretyError("REQUESTS_NOT_DEPLOYED", `the address book of ${market} has no contracts of evaluated jobs`, {
    details: { market },
    fix: "Use the address book of a deployment that has `schemas` and `requests`, or deploy anew with `surety deploy`.",
    exit: ExitStatus.badInput,
  });
}
