import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";

const source = join(import.meta.dirname, "../../sdk/src");

describe("the SDK outside its node folder", () => {
  it("needs nothing that only Node has", async () => {
    const modules = (await readdir(source)).filter((name) => name.endsWith(".ts"));
    expect(modules).to.include.members(["content.ts", "storage.ts", "sealed-file.ts", "gateway.ts", "kubo.ts"]);
    for (const name of modules) {
      const text = await readFile(join(source, name), "utf8");
      const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);
      for (const specifier of imports) {
        expect(specifier, `${name} imports ${specifier}`).not.to.match(
          /^node:|^\.\/node\/|^(fs|path|crypto|http|https|net|os|stream|buffer|util)$/,
        );
      }
      expect(text, `${name} uses a global of Node`).not.to.match(/\bBuffer\.|\bprocess\.(?!md)/);
    }
  });
});
