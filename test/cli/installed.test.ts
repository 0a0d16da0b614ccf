import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs `source` in a process to which no package is there that is for development only. */
async function installed(source: string): Promise<string> {
  const { devDependencies } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const hooks = `
    import { registerHooks } from "node:module";
    const missing = ${JSON.stringify(Object.keys(devDependencies))};
    registerHooks({ resolve(specifier, context, next) {
      const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
      if (!missing.includes(name)) return next(specifier, context);
      throw Object.assign(new Error(specifier + " from " + context.parentURL), { code: "ERR_MODULE_NOT_FOUND" });
    } });
    ${source}`;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", hooks];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root }).catch(
    (error: { stdout: string; stderr: string }) => {
      throw new Error(error.stderr);
    },
  );
  return stdout;
}

describe("installation without what is for development", function () {
  this.timeout(60_000);

  it("misses what it is told to miss", async () => {
    const told = await installed(`await import("hardhat").catch(({ code }) => console.log(code));`);
    expect(told.trim()).to.equal("ERR_MODULE_NOT_FOUND");
  });

  it("has the command line and every agent", async () => {
    const loaded = await installed(`
      process.argv.push("--version");
      await import("./agents/cli/main.ts");
      for (const path of [
        "compute/agent.ts", "requester/agent.ts", "doctor/doctor.ts",
        "executor/wasm-executor.ts", "executor/docker-executor.ts", "executor/docker/engine.ts",
      ]) {
        await import("./agents/" + path);
        console.log(path);
      }`);
    expect(loaded.trim().split("\n")).to.have.lengthOf(7);
  });

  it("says that it has no chain of its own", async () => {
    const ended = await installed(`
      process.argv.push("devnet", "--home", "/nonexistent");
      process.stderr.write = (text) => process.stdout.write(text);
      await import("./agents/cli/main.ts");
      process.exitCode = 0;`);
    expect(/^error ([A-Z_]+):/m.exec(ended)?.[1]).to.equal("DEVNET_UNAVAILABLE");
  });

  it("says that it has no compiler for schemas", async () => {
    const ended = await installed(`
      process.argv.push("schema", "check", "examples/schemas/square-root");
      process.stderr.write = (text) => process.stdout.write(text);
      await import("./agents/cli/main.ts");
      process.exitCode = 0;`);
    expect(/^error ([A-Z_]+):/m.exec(ended)?.[1]).to.equal("SCHEMA_COMPILER_MISSING");
  });
});
