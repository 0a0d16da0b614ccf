import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { loadDeployment } from "#sdk/deployment.ts";
import { available, balanceOf, vaultBurned } from "#sdk/reads.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { startDevnet, type Devnet } from "../../agents/devnet/devnet.ts";
import { readExample } from "../support/schema-example.ts";
import { TypingConsole } from "../support/typing-console.ts";

const TOKEN = 10n ** 18n;
/** Three evaluators and twelve workers, as in the paper's session. */
const PARTICIPANTS = 15;

/*
 * The paper's session, typed at a console: register a job of three files, wait for those who apply, ask twelve workers
 * and an evaluator for a square root, and see who received what. Each is a process of its own. In between the console
 * is killed, and the next one goes on.
 */
describe("a session at the console", function () {
  this.timeout(900_000);
  let folder: string;
  let example: string;
  let devnet: Devnet;
  let console: TypingConsole;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-console-"));
    ({ folder: example } = await readExample("square-root"));
    const home = join(folder, ".surety", "AIN");
    devnet = await startDevnet({ home, port: 0, nodes: 0, liars: 0, lazy: 0, participants: PARTICIPANTS });
  });

  after(async () => {
    await console?.kill();
    await devnet?.stop();
    for (const each of [folder, example]) await rm(each, { recursive: true, force: true });
  });

  /** What everybody has, in wallet and vault together, by address. */
  async function money(): Promise<Map<string, bigint>> {
    const { rpc: url, deployment, keys } = devnet.file;
    const { vault, token, requests } = loadDeployment(await readFile(deployment, "utf8"));
    const rpc = new HttpRpc({ urls: [url] });
    const has = async ({ address }: { address: string }): Promise<[string, bigint]> => {
      const [inWallet, inVault] = await Promise.all([
        balanceOf(rpc, token.address, address),
        available(rpc, vault, requests!, address),
      ]);
      return [address, inWallet + inVault];
    };
    const all = await Promise.all([keys.registrant, ...keys.participants].map(has));
    return new Map([...all, ["burned", await vaultBurned(rpc, vault)]]);
  }

  it("goes as the paper prints it, and the money adds up", async () => {
    const files = ["job_schema.proto", "worker.wasm", "evaluator.wasm"].map((name) => join(example, name));
    console = new TypingConsole([], { cwd: folder });
    console.type("connect AIN");
    const [, job] = await console.ask(
      `registerJob ${files.join(" ")}`,
      /AIN> registerJob[^]*Registration complete\. Job ID is (0x[0-9a-f]{64})\.\n/,
    );
    console.type("wait 3 12");
    await console.ask(`stats ${job}`, /\n3 evaluators, 12 workers running\.\n/);
    const before = await money();

    console.type(`requestJob {job_id: ${job}, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}`);
    const [, id] = await console.read(/\.\. request (0x[0-9a-f]{64}) \.\./);
    await console.kill();
    console = new TypingConsole(["AIN"], { cwd: folder });
    const [, x, evaluator, worker] = await console.ask(
      `result ${id}`,
      /\nX: (\d\.\d+)\nTotal 12 workers participated\. Evaluator \((0x\w{40})\) received 10, worker \((0x\w{40})\) received 10\.\n/,
    );
    expect(Number(x)).to.be.closeTo(2, 0.1);
    expect(await console.end()).to.equal(0);

    const { registrant, participants } = devnet.file.keys;
    const roleOf = (node: string | undefined) => participants.find(({ address }) => address === node)?.role;
    expect([roleOf(evaluator), roleOf(worker)]).to.deep.equal(["evaluator", "worker"]);
    const after = await money();
    const changes = [...after].map(([who, now]): [string, bigint] => [who, now - before.get(who)!]);
    expect(new Map(changes.filter(([, change]) => change !== 0n))).to.deep.equal(
      new Map([
        [registrant.address, -20n * TOKEN],
        [evaluator, 10n * TOKEN],
        [worker, 10n * TOKEN],
      ]),
    );
  });
});
