import { expect } from "chai";
import fc from "fast-check";
import { computeContentId } from "#sdk/content.ts";
import { openBytes, openDirectory, sealBytes, sealDirectory, sealedFileOverhead } from "#sdk/sealed-file.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const caps = { maxBytes: 10_000_000 };

describe("sealed files", () => {
  it("do not open after any byte of file, key or associated data changed", async () => {
    const associatedData = text("chain 1, batch 7");
    const { bytes, key } = sealBytes(text("secret"), { associatedData });
    for (const [what, original] of Object.entries({ bytes, key, associatedData })) {
      for (let index = 0; index < original.length; index += 1) {
        const given = { bytes, key, associatedData, [what]: original.with(index, original[index]! ^ 1) };
        expect(await codeOf(() => openBytes(given.bytes, given.key, given)), `${what} ${index}`).to.equal(
          "SEALED_FILE_CORRUPT",
        );
      }
    }
    expect(await codeOf(() => openBytes(bytes, key))).to.equal("SEALED_FILE_CORRUPT");
    for (const length of [0, 1, 39, bytes.length - 1]) {
      expect(await codeOf(() => openBytes(bytes.slice(0, length), key, { associatedData }))).to.equal(
        "SEALED_FILE_CORRUPT",
      );
    }
    expect(await codeOf(() => openBytes(bytes, key.slice(1), { associatedData }))).to.equal("SEALED_FILE_CORRUPT");
    expect(openBytes(bytes, key, { associatedData })).to.deep.equal(text("secret"));
  });

  it("give bytes back, under another key each time", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.uint8Array({ maxLength: 40 }), (content, associatedData) => {
        const sealed = sealBytes(content, { associatedData });
        const again = sealBytes(content, { associatedData });
        expect(sealed.bytes).to.have.length(content.length + sealedFileOverhead);
        expect(sealed.key).not.to.deep.equal(again.key);
        expect(sealed.bytes).not.to.deep.equal(again.bytes);
        expect(Buffer.compare(openBytes(sealed.bytes, sealed.key, { associatedData }), content)).to.equal(0);
      }),
    );
  });

  it("give directories back with the same content id", async () => {
    for (const directory of [
      new Map<string, Uint8Array>(),
      new Map([
        ["out/a.txt", text("a")],
        ["stdout", new Uint8Array()],
        ["big", new Uint8Array(3_000_000).fill(7)],
      ]),
    ]) {
      const associatedData = text("task 3");
      const { bytes, key } = await sealDirectory(directory, { associatedData });
      const back = await openDirectory(bytes, key, { ...caps, associatedData });
      expect([...back.keys()].sort()).to.deep.equal([...directory.keys()].sort());
      expect(await computeContentId(back)).to.equal(await computeContentId(directory));
    }
  });

  it("are always packed in the same way", async () => {
    const entries: [string, Uint8Array][] = [
      ["b", text("1")],
      ["a/x", text("2")],
      ["a/w", text("3")],
    ];
    const packed = await Promise.all(
      [entries, entries.toReversed()].map(async (order) => {
        const { bytes, key } = await sealDirectory(new Map(order));
        return openBytes(bytes, key);
      }),
    );
    expect(packed[0]).to.deep.equal(packed[1]);
  });

  it("are held to the caller's caps", async () => {
    const { bytes, key } = await sealDirectory(
      new Map([
        ["a", new Uint8Array(100)],
        ["b", new Uint8Array(100)],
      ]),
    );
    expect(await codeOf(() => openDirectory(bytes, key, { maxBytes: 199 }))).to.equal("CONTENT_TOO_LARGE");
    expect(await codeOf(() => openDirectory(bytes, key, { maxBytes: 200, maxFiles: 1 }))).to.equal("CONTENT_TOO_LARGE");
    expect((await openDirectory(bytes, key, { maxBytes: 200, maxFiles: 2 })).size).to.equal(2);
  });

  it("are refused when what was sealed is no directory", async () => {
    for (const content of [new Uint8Array(), text("no CAR"), new Uint8Array(100).fill(255)]) {
      const { bytes, key } = sealBytes(content);
      expect(await codeOf(() => openDirectory(bytes, key, caps))).to.equal("SEALED_FILE_CORRUPT");
    }
    const whole = await sealDirectory(
      new Map([
        ["a", text("a")],
        ["b", text("b")],
      ]),
    );
    const cut = sealBytes(openBytes(whole.bytes, whole.key).slice(0, -5));
    expect(await codeOf(() => openDirectory(cut.bytes, cut.key, caps))).to.equal("SEALED_FILE_CORRUPT");
  });
});
