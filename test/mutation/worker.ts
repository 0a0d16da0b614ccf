import { pathToFileURL } from "node:url";
import hre from "hardhat";
import Mocha from "mocha";

import { BASE } from "./suite.ts";

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
  /** Whether what {@link BASE} does may be taken from a snapshot made with another coinbase. */
  base?: boolean;
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
const { networkHelpers, deployMarket } = (await import(pathToFileURL(fixture).href)) as {
  networkHelpers: {
    takeSnapshot(): Promise<{ restore(): Promise<void> }>;
    clearSnapshots(): Promise<void> | void;
    setCoinbase(address: string): Promise<void>;
    mine(): Promise<void>;
    loadFixture<T>(load: (connection: never) => Promise<T>): Promise<T>;
  };
  deployMarket(): Promise<unknown>;
};
// Every run begins on a chain that has a market already; most tests deploy another all the same.
const market = await deployMarket();
const base = await networkHelpers.takeSnapshot();
let asked: Request = { coinbase: "", tracing: false, bail: false };

async function begin(): Promise<void> {
  await base.restore();
  await networkHelpers.clearSnapshots();
  await networkHelpers.setCoinbase(asked.coinbase);
  // So that even a call that mines nothing finds the coinbase.
  await networkHelpers.mine();
}

// What a fixture reaches, every test that begins from it reaches, though it runs but once.
const byFixture = new Map<unknown, Set<string>>();
const loadFixture = networkHelpers.loadFixture.bind(networkHelpers);
networkHelpers.loadFixture = async <T>(load: (connection: never) => Promise<T>): Promise<T> => {
  if (asked.base === true && (load as unknown) === deployMarket) {
    await begin();
    return market as T;
  }
  const before = reached;
  reached = new Set();
  const loaded = await loadFixture(load);
  const own = new Set([...(byFixture.get(load) ?? []), ...reached]);
  byFixture.set(load, own);
  reached = new Set([...before, ...own]);
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

async function run(request: Request): Promise<void> {
  const { coinbase, only, bail } = request;
  asked = request;
  await begin();
  byFixture.clear();
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
  if (tracing === "tracing") {
    await deployMarket();
    say({ kind: "test", title: BASE, milliseconds: performance.now() - began, reached: [...reached] });
    await begin();
    reached = new Set();
  }
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
