import { hexlify, ZeroHash } from "ethers";
import { contentIdFromBytes32, contentIdToBytes32 } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import * as requestCalls from "#sdk/request-calls.ts";
import type { ApplicationRecord, SchemaRecord } from "#sdk/request-state.ts";
import { rolesIn } from "#sdk/request-terms.ts";
import { applicationDuties, approvalDuties, policyOf, type ApplyDuty } from "./duties.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { examine, showQualification } from "./qualification.ts";
import { Tasks } from "./tasks.ts";

/**
 * The part that belongs to trees of schemas: publishes the account's key, applies for the roles that the configuration
 * names, showing what it can do, and, as an admin, approves those that show the same.
 */
export class Membership implements Part {
  readonly #context: ParticipantContext;
  readonly #tasks: Tasks;

  constructor(context: ParticipantContext) {
    this.#context = context;
    this.#tasks = new Tasks({ logger: context.logger, signal: context.signal });
  }

  get isIdle(): boolean {
    return this.#tasks.isIdle;
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  async act(head: Head): Promise<void> {
    const { agent, config, releases, signal } = this.#context;
    if (!this.#context.mayBegin) return;
    await this.#publishKey();
    const facts = await this.#context.facts(head);
    const { state } = agent;
    // A new release is loaded when it comes, and not when the first request needs it.
    for (const schema of state.schemas.values()) {
      const newest = schema.releases.at(-1)?.release;
      if (newest && policyOf(schema, facts.jobs)) {
        this.#tasks.run(`release ${newest}`, async () => void (await releases.of(newest, { signal })));
      }
    }
    for (const duty of applicationDuties(state, facts)) {
      this.#tasks.run(`apply ${duty.schema} ${duty.roles}`, () => this.#apply(duty));
    }
    if (config.approve === "never") return;
    for (const { schema, application } of approvalDuties(state, facts)) {
      const { node, block } = application;
      this.#tasks.run(`approve ${schema.id} ${node} ${block}`, () => this.#approve(schema, application));
    }
  }

  async #publishKey(): Promise<void> {
    const { agent, keys, config } = this.#context;
    const encryptionKey = hexlify(keys.publicKey);
    const published = agent.state.keys.get(agent.address);
    if (config.jobs.length === 0 || published === encryptionKey) return;
    const call = requestCalls.publishKey(agent.context.schemas, { encryptionKey });
    await agent.send({ key: `publish-key:${encryptionKey}:${published ?? "none"}`, ...call });
  }

  async #apply({ schema: id, parent, roles }: ApplyDuty): Promise<void> {
    const { agent, releases, executor, retention, signal, logger } = this.#context;
    const digest = agent.state.schemas.get(id)?.releases.at(-1)?.release;
    if (digest === undefined) return;
    const noteKey = `${id}:${digest}:${roles}`;
    let qualification = agent.journal.get("qualification", noteKey) as string | undefined;
    if (qualification === undefined) {
      const release = await releases.of(digest, { signal });
      const parts = { storage: agent.storage, executor, release, signal };
      const shown = await showQualification(parts, { schema: id, node: agent.address, roles });
      qualification = ZeroHash;
      if (shown.size > 0) {
        const cid = await agent.storage.add(shown, { signal });
        retention.note(id, cid);
        qualification = contentIdToBytes32(cid);
      }
      agent.journal.put("qualification", noteKey, qualification);
    }
    const call = requestCalls.applyJob(agent.context.schemas, { schema: id, roles, parent, qualification });
    await agent.sendAndSee({ key: `apply:${id}:${parent}:${roles}:${qualification}`, ...call });
    logger.info({ schema: id, parent, roles: rolesIn(roles) }, "applied");
  }

  async #approve(schema: SchemaRecord, { node, roles, qualification, block }: ApplicationRecord): Promise<void> {
    const { agent, releases, executor, signal, logger } = this.#context;
    const id = schema.id;
    const digest = schema.releases.at(-1)!.release;
    const release = await releases.of(digest, { signal });
    // Who does not show what it can do is looked at once in a life: a new application is another.
    if (release.release.tests.length > 0) {
      if (BigInt(qualification) === 0n) throw new SuretyError("QUALIFICATION_FAILED", `${node} shows nothing`);
      const parts = { storage: agent.storage, executor, release, signal };
      await examine(parts, { schema: id, node, roles, cid: contentIdFromBytes32(qualification) });
    }
    const call = requestCalls.approveNode(agent.context.schemas, { schema: id, node, roles });
    await agent.sendAndSee({ key: `approve:${id}:${node}:${block}`, ...call });
    logger.info({ schema: id, node, roles: rolesIn(roles) }, "approved");
  }
}
