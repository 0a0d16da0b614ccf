import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { listStatuses } from "../../agents/requester/spool.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type ActingRequester, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

const dyingSubmit = fileURLToPath(new URL("../support/dying-submit.ts", import.meta.url));
const JOB = { tasks: 2, price: PRICE_OF_ONE };

describe("submit killed between storing and spooling", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  async function submitAndDie(requester: ActingRequester, moment: "before" | "after"): Promise<void> {
    const args = [moment, await requester.writeJob(JOB), "--config", requester.config];
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", dyingSubmit, ...args], {
      stdio: "ignore",
    });
    await once(child, "exit");
    expect(child.signalCode).to.equal("SIGKILL");
  }

  it("posts nothing, and what is submitted then is posted once", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await submitAndDie(requester, "before");
    expect(await listStatuses(requester.home)).to.deep.equal([]);

    await requester.start();
    const ticket = await requester.submit(JOB);
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 2);
    expect((await listStatuses(requester.home)).map((status) => status.ticket)).to.deep.equal([ticket]);
    expect(requester.batches).to.have.lengthOf(1);
    await books.close();
  });

  it("is posted once if it died after spooling", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await submitAndDie(requester, "after");
    const [{ ticket } = { ticket: "" }, ...others] = await listStatuses(requester.home);
    expect(others).to.deep.equal([]);

    await requester.start();
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 2);
    expect(requester.batches).to.have.lengthOf(1);
    await books.close();
  });
});
