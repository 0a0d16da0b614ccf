import { getAddress } from "ethers";
import type { Deployment } from "#sdk/deployment.ts";
import { decodeEvent } from "#sdk/events.ts";
import type { RawEvent } from "#sdk/event-store.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { tokenInterface } from "#sdk/market-abi.ts";
import { decodeRequestEvent } from "#sdk/request-events.ts";
import { RequestState } from "#sdk/request-state.ts";
import { contextOf } from "../participant/request-agent.ts";
import { readEvents } from "./read-events.ts";

/** Evaluated jobs as of the newest block. */
export interface RequestView {
  state: RequestState;
  /** Accounts between which money went, or of which one disposes of the other's. */
  links: [string, string][];
  /** Of the newest block, seconds. */
  now: number;
  /** Number of the newest block. */
  block: number;
}

/**
 * Reads everything that the contracts of evaluated jobs ever told, once, and leaves nothing behind.
 *
 * @param options.transfers Also reads the token's transfers. Of a token that much else is paid with, that takes long.
 * @throws SuretyError `REQUESTS_NOT_DEPLOYED` (exit 2), `RPC_BEHIND` (exit 3); what the transport throws
 */
export async function readRequests(
  rpc: JsonRpc,
  deployment: Deployment,
  { transfers, signal }: { transfers: boolean; signal: AbortSignal },
): Promise<RequestView> {
  const { schemas, requests } = contextOf(deployment);
  const { vault, token } = deployment;
  const addresses = [schemas, requests, vault, ...(transfers ? [token.address] : [])];
  const { events, head } = await readEvents(rpc, deployment, { addresses, signal });
  const state = new RequestState();
  const links: [string, string][] = [];
  for (const raw of events) {
    const event = decodeRequestEvent(raw);
    if (event) state.apply(event);
    else links.push(...linksOf(raw, deployment));
  }
  return { state, links: amongParticipants(links, state), now: head.timestamp, block: head.number };
}

function linksOf(raw: RawEvent, { token, vault }: Deployment): [string, string][] {
  if (raw.address === token.address) {
    const log = tokenInterface.parseLog(raw);
    if (log?.name !== "Transfer") return [];
    const [from, to] = [getAddress(String(log.args.from)), getAddress(String(log.args.to))];
    return from === vault || to === vault ? [] : [[from, to]];
  }
  const event = decodeEvent(raw);
  if (event?.name === "Withdrawn") return [[event.holder, event.to]];
  return event?.name === "Entrusted" ? [[event.holder, event.owner]] : [];
}

/** Of accounts that take part: an exchange, or whoever hands out tokens, knows everybody. */
function amongParticipants(
  links: readonly [string, string][],
  { schemas, requests }: RequestState,
): [string, string][] {
  const participants = new Set<string>();
  for (const { members } of schemas.values()) for (const node of members.keys()) participants.add(node);
  for (const { request } of requests.values()) participants.add(request.requester);
  return links.filter(([one, other]) => one !== other && participants.has(one) && participants.has(other));
}
