#!/usr/bin/env node
/*
 * Starts a script of this project, after seeing to all it needs: a fitting Node, the dependencies, the compiled
 * contracts and the example programs. Says what it does on standard error; does nothing where nothing is missing.
 *
 *   node agents/launch.mjs agents/demo/demo.ts --json     a script
 *   node agents/launch.mjs --set-up                        nothing but that
 *   surety devnet                                          the command line, when called by its own name
 *
 * Plain JavaScript without dependencies, since it runs before there are any, on Node 20 and newer.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const commandLine = "agents/cli/main.ts";
/** Fetched where the Node at hand is too old: the long-term one that the project is tested with. */
const wantedNode = "24.21.0";
/** What was made from what, by name. Goes with the dependencies when they are deleted. */
const stamps = join(root, "node_modules/.surety");

const env = cleanEnvironment();
let fetchedNode;
const [script, args] = wantedScript(process.argv.slice(2));

await inTurn(() => {
  installDependencies();
  compileContracts();
  buildExamples();
  // Not earlier: npm ci deletes the folder.
  if (fetchedNode !== undefined && fetchedNode !== rememberedNode()) writeStamp("node", fetchedNode);
});
if (script !== undefined) run(script, args);

/** A script's path relative to the project, or else everything is for the command line. */
function wantedScript(given) {
  const [first = "", ...rest] = given;
  if (first === "--set-up") return [undefined, []];
  if (/^(agents|bench|test|examples|sdk)\/.*\.ts$/.test(first) && existsSync(join(root, first))) return [first, rest];
  return [commandLine, given];
}

/**
 * npm and npx tell what they start about themselves, which would change what an npm or npx inside does, such as where
 * it installs.
 */
function cleanEnvironment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) && name !== "INIT_CWD"),
  );
}

/** Type stripping without a flag came with 22.18; 23 was never a long-term one. */
function fits(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= 18);
}

/** Path of a Node that fits: this one, or one that npx fetches once and keeps. */
function fittingNode() {
  if (fits(process.versions.node)) return process.execPath;
  fetchedNode ??= rememberedNode() ?? fetchNode();
  return fetchedNode;
}

function rememberedNode() {
  const path = readStamp("node");
  return path !== undefined && existsSync(path) ? path : undefined;
}

function fetchNode() {
  say(`Node ${process.versions.node} is too old: fetching Node ${wantedNode} through npx`);
  const print = `node -p "process.execPath"`;
  const found = spawnSync("npx", ["-y", "-p", `node@${wantedNode}`, "-c", print], {
    encoding: "utf8",
    cwd: root,
    env,
    ...shell(),
  });
  const path = found.stdout?.trim().split("\n").at(-1);
  if (found.status !== 0 || !path || !existsSync(path)) {
    fail(
      "NODE_UNAVAILABLE",
      `Node ${wantedNode} could not be fetched: ${(found.stderr || String(found.error ?? "")).trim()}`,
      "Install Node 22.18, 24 or newer, or see that npm reaches its registry.",
    );
  }
  return path;
}

function installDependencies() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const hash = sha256(lock);
  if (readStamp("dependencies") === hash && existsSync(join(root, "node_modules/ethers/package.json"))) return;
  if (!isInstalled(JSON.parse(lock.toString("utf8")))) {
    say("installing the dependencies (npm ci)");
    // Under the fitting Node: an older one leaves out packages that need a newer, without a word.
    step(
      "npm",
      // A connection that stands still is given up after two minutes, not five, and tried again.
      ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=120000", "--fetch-retries=5"],
      "DEPENDENCIES_FAILED",
      "See that npm reaches its registry, and try again.",
    );
  }
  writeStamp("dependencies", hash);
}

/** Whether what npm noted down as installed is what the lock file asks for, on this kind of machine. */
function isInstalled(lock) {
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(root, "node_modules/.package-lock.json"), "utf8")).packages;
  } catch {
    return false;
  }
  return Object.entries(lock.packages).every(([path, entry]) => {
    if (!path.startsWith("node_modules/") || entry.link || isForeign(entry)) return true;
    return installed[path]?.version === entry.version && existsSync(join(root, path));
  });
}

/** Whether a package is for another kind of machine. */
function isForeign({ os, cpu, libc }) {
  const excludes = (list, actual) =>
    Array.isArray(list) &&
    !list.includes(actual) &&
    !list.some((each) => each.startsWith("!") && each !== `!${actual}`);
  const glibc = process.platform === "linux" && process.report?.getReport().header.glibcVersionRuntime !== undefined;
  return excludes(os, process.platform) || excludes(cpu, process.arch) || excludes(libc, glibc ? "glibc" : "musl");
}

function compileContracts() {
  const sources = filesBelow("contracts", (name) => name.endsWith(".sol"));
  const hash = hashOf([...sources, "hardhat.config.ts"]);
  const products = ["artifacts/contracts/Market.sol/Market.json", "sdk/src/types/index.ts"];
  if (readStamp("contracts") === hash && products.every((path) => existsSync(join(root, path)))) return;
  say("compiling the contracts (hardhat build)");
  const hardhat = join(root, "node_modules/hardhat/dist/src/cli.js");
  step(fittingNode(), [hardhat, "build", "--quiet"], "CONTRACTS_FAILED", "Read the compiler's messages above.");
  writeStamp("contracts", hash);
}

function buildExamples() {
  const hash = hashOf([
    ...filesBelow("examples/coastline/assembly", () => true),
    "examples/coastline/build.ts",
    "examples/coastline/asconfig.json",
  ]);
  if (readStamp("coastline") === hash && existsSync(join(root, "examples/coastline/build/coastline.wasm"))) return;
  say("building the example programs");
  const builder = join(root, "examples/coastline/build.ts");
  step(
    fittingNode(),
    ["--disable-warning=ExperimentalWarning", builder],
    "EXAMPLES_FAILED",
    "Read the compiler's messages above.",
  );
  writeStamp("coastline", hash);
}

/** Runs the wanted script in place of this one, as far as that can be: streams, signals, exit status. */
function run(path, rest) {
  // Compiled once for all processes: each starts sooner, and takes a seventh less memory. One pool of memory for all
  // of a process's threads, where the C library is glibc: a twentieth less, and no slower.
  const thrifty = { NODE_COMPILE_CACHE: join(stamps, "compiled"), MALLOC_ARENA_MAX: "1", ...env };
  const options = { stdio: ["inherit", "inherit", "inherit", "ipc"], env: thrifty };
  const child = spawn(fittingNode(), ["--disable-warning=ExperimentalWarning", join(root, path), ...rest], options);
  // Ctrl-C reaches the whole group; what is sent to this process alone is passed on.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.once("error", (error) =>
    fail("START_FAILED", `${path} cannot be started: ${error.message}`, "Check the installation of Node."),
  );
  child.once("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 1);
    if (child.connected) child.disconnect();
  });
}

/** One step of the set-up; its output goes to standard error, since standard output is the script's. */
function step(command, given, code, fix) {
  const path = [dirname(fittingNode()), env.PATH ?? env.Path ?? ""].join(delimiter);
  const options = {
    cwd: root,
    env: { ...env, PATH: path, HARDHAT_DISABLE_TELEMETRY_PROMPT: "true", HARDHAT_DISABLE_TELEMETRY: "true" },
  };
  const { status, error } = spawnSync(command, given, {
    ...options,
    stdio: ["ignore", 2, 2],
    ...(command === "npm" ? shell() : {}),
  });
  if (status !== 0) fail(code, `${command} ${given.join(" ")} failed${error ? `: ${error.message}` : ""}`, fix);
}

/** npm and npx are scripts of the shell on Windows. */
function shell() {
  return process.platform === "win32" ? { shell: true } : {};
}

/** Two launches at once, of a devnet and of a submit, set up one after the other. */
async function inTurn(work) {
  const lock = join(root, ".surety-setup");
  let waiting = false;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code === "EROFS" || error.code === "EACCES") return; // Nothing could be set up here anyhow.
      if (error.code !== "EEXIST") throw error;
    }
    if (!isAlive(readNumber(join(lock, "pid")))) {
      // Whoever made it has ended, or is about to write its number.
      await pause(200);
      if (!isAlive(readNumber(join(lock, "pid")))) rmSync(lock, { recursive: true, force: true });
      continue;
    }
    if (!waiting) say("waiting for another start that sets things up");
    waiting = true;
    await pause(500);
  }
  try {
    writeFileSync(join(lock, "pid"), String(process.pid));
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function readNumber(path) {
  try {
    return Number(readFileSync(path, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function filesBelow(folder, wanted) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && wanted(entry.name))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

/** Of files' names and contents, and of the versions of all that works on them. */
function hashOf(paths) {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  for (const path of paths) hash.update(`\0${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function readStamp(name) {
  try {
    return readFileSync(join(stamps, name), "utf8");
  } catch {
    return undefined;
  }
}

function writeStamp(name, value) {
  mkdirSync(stamps, { recursive: true });
  writeFileSync(join(stamps, name), value);
}

function say(line) {
  process.stderr.write(`surety: ${line}\n`);
}

function fail(code, message, fix) {
  rmSync(join(root, ".surety-setup"), { recursive: true, force: true });
  process.stderr.write(`error ${code}: ${message}\nfix: ${fix}\n`);
  process.exit(1);
}
