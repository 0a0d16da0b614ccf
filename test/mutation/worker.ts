import { pathToFileURL } from "node:url";
import hre from "hardhat";
import Mocha from "mocha";

/*
 * Runs the contracts' tests again and again in one process, each time with another coinbase; see suite.ts. The working
 * directory is that of the changed copy of the project.
 */

/** What the other side asks for. */
export interface Request {
  /** Of the blocks mined meanwhile. */
  coinbase: string;
  /** Whether to tell which tests reach which numbers. */
  tracing: boolean;
  /** Full titles; all when absent. */
  only?: string[];
  /** Whether to stop at the first that fails. */
  bail: boolean;
}

/** What it is told, in the end or of each test. */
export type Message =
  | { kind: "ready"; tests: string[] }
  | { kind: "test"; title: string; milliseconds: number; failure?: string; reached?: string[] }
  | { kind: "done" };

const say = (message: Message): void => void process.send?.(message);
const [tracing, fixture = "", ...files] = process.argv.slice(2);

let reached = new Set<string>();
if (tracing === "tracing") {
  // Hardhat's own way to tell what was covered: a call to an address that nobody has.
  hre.hooks.registerHandlers("network", {
    onCoverageData: async (_context: unknown, tags: string[]) => {
      for (const tag of tags) reached.add(tag);
    },
  } as never);
}

process.env["HH_TEST"] = "true";
process.env["NODE_ENV"] ??= "test";
const { networkHelpers } = (await import(pathToFileURL(fixture).href)) as {
  networkHelpers: {
    takeSnapshot(): Promise<{ restore(): Promise<void> }>;
    clearSnapshots(): Promise<void> | void;
    setCoinbase(address: string): Promise<void>;
    mine(): Promise<void>;
    loadFixture<T>(load: (connection: never) => Promise<T>): Promise<T>;
  };
};
const genesis = await networkHelpers.takeSnapshot();

// What a fixture reaches, every test that begins from it reaches, though it runs but once.
const byFixture = new Map<unknown, Set<string>>();
const loadFixture = networkHelpers.loadFixture.bind(networkHelpers);
networkHelpers.loadFixture = async (load) => {
  const before = reached;
  reached = new Set();
  const loaded = await loadFixture(load);
  const own = byFixture.get(load)?.union(reached) ?? reached;
  byFixture.set(load, own);
  reached = before.union(own);
  return loaded;
};

const mocha = new Mocha({ timeout: 60_000, reporter: function () {} as never, ui: "bdd" });
mocha.cleanReferencesAfterRun(false);
for (const file of files) mocha.addFile(file);
await mocha.loadFilesAsync();

const titles: string[] = [];
mocha.suite.eachTest((test: Mocha.Test) => void titles.push(test.fullTitle()));
say({ kind: "ready", tests: titles });

process.on("message", (request: Request) => void run(request));

async function run({ coinbase, only, bail }: Request): Promise<void> {
  await genesis.restore();
  await networkHelpers.clearSnapshots();
  byFixture.clear();
  await networkHelpers.setCoinbase(coinbase);
  // So that even a call to a chain of no other block finds the coinbase.
  await networkHelpers.mine();
  const network = hre.config.networks["default"] as unknown as { coinbase: Uint8Array };
  network.coinbase = Uint8Array.from(Buffer.from(coinbase.slice(2), "hex"));
  mocha.bail(bail);
  const wanted = only && new Set(only);
  // Suites with few tests to run first: a fixture that only one of them uses is dear.
  const count = (suite: Mocha.Suite): number => {
    let found = 0;
    suite.eachTest((test: Mocha.Test) => void (wanted?.has(test.fullTitle()) && found++));
    return found;
  };
  if (wanted) mocha.suite.suites.sort((a, b) => count(a) - count(b));
  // Mocha asks it for each test as it would a regular expression.
  mocha.options.grep = { test: (title: string) => wanted?.has(title) ?? true } as never;
  reached = new Set();
  let began = performance.now();
  const runner = mocha.run(() => say({ kind: "done" }));
  const tell = (title: string, failure?: string): void => {
    const now = performance.now();
    say({
      kind: "test",
      title,
      milliseconds: now - began,
      ...(failure === undefined ? {} : { failure }),
      ...(tracing === "tracing" ? { reached: [...reached] } : {}),
    });
    began = now;
    reached = new Set();
  };
  runner.on("pass", (test) => tell(test.fullTitle()));
  runner.on("fail", (test, error) => tell(test.fullTitle(), String((error as Error)?.message).split("\n")[0]));
}
