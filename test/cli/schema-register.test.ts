import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { schemaState } from "#sdk/reads.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { LocalMarket } from "../support/local-market.ts";
import { readExample } from "../support/schema-example.ts";

describe("surety schema register and release", function () {
  this.timeout(180_000);
  let market: LocalMarket;
  let folder: string;
  let config: string;
  let registrant: string;

  before(async () => {
    market = await LocalMarket.start();
    const account = market.account();
    registrant = account.address;
    ({ config } = await market.agentHome("registrant", account));
    // Compiled once.
    ({ folder } = await readExample("square-root"));
    await change(/sources:\n.*\n.*\n/, "");
    await writeFile(join(folder, "test", "four.json"), JSON.stringify({ request: { y: 4 }, workers: 1 }));
  });

  after(async () => {
    await market?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const register = (...more: string[]): Promise<Ended> =>
    surety(["schema", "register", folder, "--config", config, "--json", ...more]);
  const release = (job: string, by = config): Promise<Ended> =>
    surety(["schema", "release", job, folder, "--config", by, "--json"]);

  /** Replaces a text in the package's `schema.yaml`. */
  async function change(from: string | RegExp, to: string): Promise<void> {
    const text = await readFile(join(folder, "schema.yaml"), "utf8");
    expect(text).to.match(new RegExp(from));
    await writeFile(join(folder, "schema.yaml"), text.replace(from, to));
  }

  it("name on chain what they published, once, and by nobody but the registrant", async () => {
    const first = lastJson(await register());
    const job = first["job"] as string;
    const { digest, cid } = first["release"] as { digest: string; cid: string };
    expect(first).to.include({ registrant, new: true });
    const schemas = market.deployment.schemas!;
    const registered = await schemaState(market.rpc, schemas, job);
    expect(registered).to.deep.include({ registrant, release: digest, releases: 1 });
    expect(registered.minimumDeposit).to.equal(10n * 10n ** 18n);
    expect(await market.published()).to.include(cid);
    expect(lastJson(await register())).to.deep.include({ job, new: false });
    expect(lastJson(await register("--nonce", "1"))["job"]).not.to.equal(job);

    const stranger = await market.agentHome("stranger", market.account());
    expect(errorCode(await release(job, stranger.config))).to.equal("SCHEMA_NOT_YOURS");
    expect(errorCode(await release(`0x${"12".repeat(32)}`))).to.equal("SCHEMA_UNKNOWN");
    expect(errorCode(await release("0x12"))).to.equal("USAGE");

    await change("deposit: 10", "deposit: 12");
    expect(errorCode(await release(job))).to.equal("SCHEMA_TERMS_FIXED");
    await change("deposit: 12", "deposit: 10");
    await change("seconds: 30s", "seconds: 20s");
    const second = lastJson(await release(job));
    expect(second).to.deep.include({ job, number: 2, new: true });
    expect(lastJson(await release(job))).to.deep.include({ number: 2, new: false });
    const released = await schemaState(market.rpc, schemas, job);
    expect(released).to.deep.include({ release: (second["release"] as { digest: string }).digest, releases: 2 });

    await change("seconds: 20s", "seconds: 30s");
    expect(errorCode(await register())).to.equal("SCHEMA_RELEASED_SINCE");
  });
});
