import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

const module = fileURLToPath(new URL("../../agents/logger.ts", import.meta.url));

/** What a process logs that does what `source` says with `createLogger` and `codes`, which errors are counted in. */
async function logged(source: string): Promise<string> {
  const script = `import { createLogger } from ${JSON.stringify(module)};
    import { SuretyError } from "#sdk/errors.ts";
    const codes = [];
    ${source}`;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
  });
  return stdout;
}

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("log of an agent", () => {
  it("is a JSON object a line with the agent, the level in words and an ISO time", async () => {
    const [line] = lines(
      await logged(`createLogger({ agent: "compute", level: "info" }).info({ batchId: "0x01" }, "claimed a slice")`),
    );
    expect(line).to.include({ agent: "compute", level: "info", batchId: "0x01", msg: "claimed a slice" });
    expect(Date.parse(String(line!.time))).to.be.above(0);
  });

  it("is for people where that is asked for", async () => {
    const text = await logged(`createLogger({ agent: "compute", level: "info", format: "pretty" }).info("claimed")`);
    expect(text).to.match(/INFO.*: .*claimed/);
    expect(() => JSON.parse(text)).to.throw();
  });

  it("obeys nothing that a stranger wrote: no escapes, no new lines, in neither form", async () => {
    const evil = `"\\u001b]0;owned\\u0007\\u009b2Jred\\u202e\\r\\n{\\"level\\":\\"fatal\\"}"`;
    for (const format of ["json", "pretty"]) {
      const text = await logged(`createLogger({ agent: "compute", level: "info", format: "${format}" }).warn({
        path: ${evil}, deep: { path: ${evil} }, error: new SuretyError("X", ${evil}, { details: { path: ${evil} } }) }, "no")`);
      expect(text, format).to.include("owned");
      expect(text, format).to.match(/^[\n\x20-\x7e]+$/);
      expect(text, format).not.to.match(/^\{"level":"fatal"/m);
    }
  });

  it("shows no secret, whatever it is called and however deep it lies", async () => {
    const text = await logged(`const logger = createLogger({ agent: "compute", level: "info" });
      for (const name of ["hex", "privateKey", "secret", "seed", "token", "contentKey", "authorization", "password"]) {
        logger.info({ [name]: "SECRET", shown: 1 }, "one");
        logger.info({ config: { [name]: "SECRET", shown: 1 } }, "two");
        logger.info({ config: { key: { [name]: "SECRET" } } }, "three");
      }`);
    expect(lines(text)).to.have.lengthOf(24);
    expect(text).not.to.include("SECRET");
    expect(text.match(/\[secret\]/g)).to.have.lengthOf(24);
    expect(text.match(/"shown":1/g)).to.have.lengthOf(16);
  });

  it("shows of addresses in errors neither passwords nor what follows a question mark", async () => {
    const text = await logged(`createLogger({ agent: "compute", level: "info" }).warn({ error:
      new SuretyError("STORAGE_UNREACHABLE", "https://me:SECRET@gateway.example/ipfs/bafy?token=SECRET does not answer", {
        details: { gateway: "https://me:SECRET@gateway.example" }, cause: new Error("fetch of https://a:SECRET@b.example") })
      }, "trouble")`);
    expect(text).not.to.include("SECRET");
    const [line] = lines(text) as [{ error: { message: string; details: object; code: string } }];
    expect(line.error.message).to.equal("https://gateway.example/ipfs/bafy does not answer");
    expect(line.error).to.have.nested.property("details.gateway", "https://gateway.example");
    expect(line.error.code).to.equal("STORAGE_UNREACHABLE");
  });

  it("tells whoever counts the codes of warnings and errors", async () => {
    const text = await logged(`const logger = createLogger({
        agent: "compute", level: "debug", onError: (code) => codes.push(code) });
      const error = new SuretyError("RPC_UNREACHABLE", "no");
      logger.warn({ error }, "trouble");
      logger.error({ error: new TypeError("no") }, "failed");
      logger.info({ error }, "no trouble");
      logger.warn("nothing");
      logger.info({ codes }, "codes");`);
    expect(lines(text).at(-1)).to.have.deep.property("codes", ["RPC_UNREACHABLE", "UNEXPECTED"]);
  });
});
