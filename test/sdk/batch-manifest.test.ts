import { expect } from "chai";
import fc from "fast-check";

import { buildBatchManifest, maxBatchManifestBytes, parseBatchManifest } from "#sdk/batch-manifest.ts";
import { contentIdFromBytes32 } from "#sdk/content.ts";
import { code } from "../support/error-code.ts";

const utf8 = new TextEncoder();
const directory = (byte: number): string => contentIdFromBytes32(`0x${byte.toString(16).padStart(2, "0").repeat(32)}`);
const id = directory(1);

describe("batch-manifest", () => {
  it("refuses what is not the canonical form", () => {
    const good = `{"version":1,"tasks":[{"input":"${id}"}]}`;
    expect(parseBatchManifest(utf8.encode(good), 1).tasks).to.deep.equal([{ input: id }]);
    const bad = [
      "",
      "null",
      "[]",
      "{}",
      `${good} `,
      `\ufeff${good}`,
      good.replace("1", "1.0"),
      good.replace("1", "1e0"),
      good.replace("1", "1e400"),
      good.replace("1", "2"),
      good.replace("1", "-1"),
      good.replace(`"version":1,`, `"version":1,"version":1,`),
      good.replace(`"version":1,`, `"version":2,"version":1,`),
      good.replace(`"version":1,`, `"version":1,"__proto__":{},`),
      good.replace(`"version":1,`, `"version":1,"more":1,`),
      good.replace(`{"input"`, `{"input":"${id}","input"`),
      `{"tasks":[{"input":"${id}"}],"version":1}`,
      `{"version":1,"tasks":[]}`,
      `{"version":1,"tasks":{"0":{"input":"${id}"},"length":1}}`,
      `{"version":1,"tasks":[{"input":"../../etc/passwd"}]}`,
      `{"version":1,"tasks":[{"input":"${id.toUpperCase()}"}]}`,
      // The same content in another spelling, and raw bytes instead of a directory.
      `{"version":1,"tasks":[{"input":"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"}]}`,
      `{"version":1,"tasks":[{"input":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}]}`,
      "[".repeat(500),
      `{"version":1,"tasks":${"[".repeat(20)}${"]".repeat(20)}}`,
    ];
    for (const text of bad) {
      expect(
        code(() => parseBatchManifest(utf8.encode(text), 1)),
        text.slice(0, 100),
      ).to.equal("BATCH_MANIFEST_INVALID");
    }
    const notUtf8 = utf8.encode(good.replace(id, "x")).map((byte) => (byte === 0x78 ? 0xff : byte));
    expect(code(() => parseBatchManifest(notUtf8, 1))).to.equal("BATCH_MANIFEST_INVALID");
  });

  it("refuses more than the posted number of tasks could need, unread", () => {
    const huge = new Uint8Array(maxBatchManifestBytes(3) + 1).fill(0x5b);
    expect(code(() => parseBatchManifest(huge, 3))).to.equal("BATCH_MANIFEST_INVALID");
  });

  it("refuses another number of tasks than posted", () => {
    const bytes = buildBatchManifest([id, id]);
    expect(code(() => parseBatchManifest(bytes, 1))).to.equal("BATCH_MANIFEST_COUNT_WRONG");
    expect(code(() => parseBatchManifest(bytes, 3))).to.equal("BATCH_MANIFEST_COUNT_WRONG");
  });

  it("refuses to build what nobody would read", () => {
    expect(code(() => buildBatchManifest([]))).to.equal("BATCH_MANIFEST_INVALID");
    expect(code(() => buildBatchManifest(["inputs/1"]))).to.equal("BATCH_MANIFEST_INVALID");
    expect(code(() => buildBatchManifest(new Array<string>(100_001).fill(id)))).to.equal("BATCH_MANIFEST_INVALID");
  });

  it("quotes no control characters of a stranger's document in its error", () => {
    const text = `{"version":1,"tasks":[],"\u001b[2J\\n\\u001b[31m":1}`;
    try {
      parseBatchManifest(utf8.encode(text), 1);
      expect.fail("nothing thrown");
    } catch (error) {
      expect((error as Error).message).to.match(/^[\x20-\x7e]+$/);
    }
  });

  it("reads what it built, up to the greatest batch", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { minLength: 1, maxLength: 50 }), (bytes) => {
        const inputs = bytes.map(directory);
        const manifest = parseBatchManifest(buildBatchManifest(inputs), inputs.length);
        expect(manifest.tasks.map(({ input }) => input)).to.deep.equal(inputs);
      }),
    );
    const many = new Array<string>(100_000).fill(id);
    expect(parseBatchManifest(buildBatchManifest(many), many.length).tasks.length).to.equal(100_000);
  }).timeout(20_000);
});
