import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));

describe("the published SDK", function () {
  this.timeout(300_000);

  it("holds what it exports, with types that a strict project takes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "surety-sdk-"));
    try {
      const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder, "-w", "sdk"], { cwd: root });
      const answer = JSON.parse(stdout.slice(stdout.search(/^[[{]/m))) as unknown;
      const [packed] = (Array.isArray(answer) ? answer : Object.values(answer as object)) as {
        files: { path: string }[];
      }[];
      const paths = packed!.files.map(({ path }) => path);
      expect(paths).to.include.members([
        "dist/index.js",
        "dist/index.d.ts",
        "dist/node/index.js",
        "job-file.schema.json",
      ]);
      expect(
        paths.filter((path) => !/^(dist\/|package\.json$|job-file\.schema\.json$|README|LICENSE)/.test(path)),
      ).to.deep.equal([]);

      const [archive] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
      await run("tar", ["-xzf", archive!], { cwd: folder });
      // A project beside it, with the dependencies that an install would bring.
      await mkdir(join(folder, "node_modules/@surety"), { recursive: true });
      await rename(join(folder, "package"), join(folder, "node_modules/@surety/sdk"));
      for (const name of await readdir(join(root, "node_modules"))) {
        if (!name.startsWith(".") && name !== "@surety")
          await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
      }
      const nested = join(root, "sdk/node_modules");
      await symlink(nested, join(folder, "node_modules/@surety/sdk/node_modules"));
      await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
      await writeFile(
        join(folder, "use.ts"),
        `import { calls, decodeEvent, formatAmount, SuretyClient, type Terms } from "@surety/sdk";
import { openEmbeddedStorage } from "@surety/sdk/node";
import schema from "@surety/sdk/job-file.schema.json" with { type: "json" };
export const half: string = formatAmount(5n * 10n ** 17n, 18);
export const price = (terms: Terms): bigint => terms.price;
// @ts-expect-error an amount is no text: the types are there
export const wrong: number = formatAmount(1n, 18);
export const uses = [calls.capture, decodeEvent, SuretyClient, openEmbeddedStorage].map((use) => typeof use);
console.log(JSON.stringify({ half, uses, title: schema.title }));
`,
      );
      const options = [
        "--strict",
        "--target",
        "es2023",
        "--module",
        "nodenext",
        "--resolveJsonModule",
        "--types",
        "node",
        "--skipLibCheck",
      ];
      await run(join(root, "node_modules/.bin/tsc"), [...options, "--outDir", "out", "use.ts"], { cwd: folder }).catch(
        (error: { stdout: string }) => expect.fail(error.stdout),
      );
      const used = await run(process.execPath, [join(folder, "out/use.js")], { cwd: folder });
      const functions = Array.from({ length: 4 }, () => "function");
      expect(JSON.parse(used.stdout)).to.deep.equal({ half: "0.5", uses: functions, title: "Surety job file" });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
