import { createContext, runInContext } from "node:vm";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { build } from "esbuild";

const entry = fileURLToPath(new URL("../../sdk/src/index.ts", import.meta.url));

describe("the SDK in a browser bundle", function () {
  this.timeout(120_000);

  it("builds without anything of Node, and runs where only the web's globals are", async () => {
    const { outputFiles, metafile } = await build({
      entryPoints: [entry],
      bundle: true,
      platform: "browser",
      format: "iife",
      globalName: "surety",
      minify: true,
      write: false,
      metafile: true,
      logLevel: "silent",
    });
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
    expect(imports, "left to be imported").to.deep.equal([]);

    const web = [
      "AbortController", "AbortSignal", "Blob", "crypto", "DOMException", "Event", "EventTarget", "fetch", "FormData",
      "Headers", "performance", "queueMicrotask", "ReadableStream", "Request", "Response", "setTimeout",
      "clearTimeout", "setInterval", "clearInterval", "structuredClone", "TextDecoder", "TextEncoder",
      "TransformStream", "URL", "URLSearchParams", "WebSocket", "WritableStream", "Uint8Array", "console",
    ] as const; // prettier-ignore
    const globals = Object.fromEntries(web.map((name) => [name, (globalThis as Record<string, unknown>)[name]]));
    const page = createContext(globals);
    runInContext("globalThis.self = globalThis; globalThis.window = globalThis;", page);
    runInContext(outputFiles[0]!.text, page, { filename: "bundle.js" });
    const shown = runInContext("surety.formatAmount(surety.parseAmount('0.5', 18), 18)", page) as string;
    expect(shown).to.equal("0.5");
    const key = `0x${"01".repeat(32)}`;
    const drawn = runInContext(
      `surety.sampledTasks("${key}", { assignment: 0, first: 0, count: 4 }, 1_000_000)`,
      page,
    ) as number[];
    expect([...drawn].sort()).to.deep.equal([0, 1, 2, 3]);
    expect(runInContext("typeof surety.SuretyClient", page)).to.equal("function");
  });
});
