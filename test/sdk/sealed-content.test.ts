import { expect } from "chai";
import { getAddress, hexlify } from "ethers";
import { computeContentId } from "#sdk/content.ts";
import {
  checkKeys,
  contentBinding,
  inputBinding,
  openContent,
  openKey,
  sealContent,
  sealedKeyPath,
  sealKeys,
} from "#sdk/sealed-content.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import { code, codeOf } from "../support/error-code.ts";

const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const address = (byte: number): string => getAddress(hexlify(new Uint8Array(20).fill(byte)));

const CONTEXT = { chainId: 31337n, requests: address(0xaa) };
const OWNER = address(1);
const binding = contentBinding(CONTEXT, { id: filled(7), owner: OWNER });
const [evaluator, judge] = [2, 3].map((byte) => ({ address: address(byte), ...encryptionKeyPair(filled(byte)) }));
const RECIPIENTS = new Map([evaluator!, judge!].map((one) => [one.address, hexlify(one.publicKey)]));
const CONTENT = new Map([
  ["reply", Uint8Array.of(1, 2, 3)],
  ["checkpoints/0", Uint8Array.of(4)],
]);
const LIMITS = { maxBytes: 1024 };

describe("sealed content", () => {
  it("opens for everybody it was sealed for", async () => {
    const { directory, key } = await sealContent(CONTENT, { binding });
    const published = new Map([...directory, ...sealKeys(key, RECIPIENTS, { binding })]);
    for (const { address, secretKey } of [evaluator!, judge!]) {
      const found = openKey(published, { address, secretKey, binding });
      expect(await openContent(published, found, { binding, ...LIMITS })).to.deep.equal(CONTENT);
      checkKeys(published, found, RECIPIENTS, { binding });
    }
  });

  it("has another content id whenever it is sealed, so that a guess of the content tells nothing", async () => {
    const [one, other] = await Promise.all([sealContent(CONTENT, { binding }), sealContent(CONTENT, { binding })]);
    expect(await computeContentId(one.directory)).not.to.equal(await computeContentId(other.directory));
  });

  it("opens for nobody else, and under no other request, owner or contract", async () => {
    const { directory, key } = await sealContent(CONTENT, { binding });
    const keys = sealKeys(key, RECIPIENTS, { binding });
    const own = { address: evaluator!.address, secretKey: evaluator!.secretKey };
    expect(code(() => openKey(keys, { ...own, secretKey: judge!.secretKey, binding }))).to.equal("SEALED_KEY_WRONG");
    expect(code(() => openKey(keys, { ...own, address: OWNER, binding }))).to.equal("SEALED_KEY_MISSING");
    const others = [
      contentBinding(CONTEXT, { id: filled(8), owner: OWNER }),
      contentBinding(CONTEXT, { id: filled(7), owner: address(9) }),
      contentBinding({ ...CONTEXT, chainId: 1n }, { id: filled(7), owner: OWNER }),
      contentBinding({ ...CONTEXT, requests: address(0xab) }, { id: filled(7), owner: OWNER }),
      inputBinding(CONTEXT, OWNER),
    ];
    for (const other of others) {
      expect(code(() => openKey(keys, { ...own, binding: other }))).to.equal("SEALED_KEY_WRONG");
      const opening = (): Promise<unknown> => openContent(directory, key, { binding: other, ...LIMITS });
      expect(await codeOf(opening)).to.equal("SEALED_FILE_CORRUPT");
    }
    expect(await codeOf(() => openContent(keys, key, { binding, ...LIMITS }))).to.equal("SEALED_CONTENT_MISSING");
    expect(await codeOf(() => openContent(directory, key, { binding, maxBytes: 2 }))).to.equal("CONTENT_TOO_LARGE");
  });

  it("shows to whoever can open it that somebody else cannot", async () => {
    const { key } = await sealContent(CONTENT, { binding });
    const good = sealKeys(key, RECIPIENTS, { binding });
    const another = sealKeys(new Uint8Array(32).fill(5), RECIPIENTS, { binding });
    const path = sealedKeyPath(evaluator!.address);
    const check = (keys: ReadonlyMap<string, Uint8Array>) => code(() => checkKeys(keys, key, RECIPIENTS, { binding }));
    expect(check(new Map([...good, [path, another.get(path)!]]))).to.equal("SEALED_KEY_WRONG");
    expect(check(new Map([...good, [path, good.get(path)!.slice(1)]]))).to.equal("SEALED_KEY_WRONG");
    expect(check(new Map([...good].filter(([each]) => each !== path)))).to.equal("SEALED_KEY_MISSING");
  });

  it("is the same for an address however it is written", () => {
    const mixed = getAddress("0xabcdefabcdefabcdefabcdefabcdefabcdefabcd");
    expect(sealedKeyPath(mixed)).to.equal(sealedKeyPath(mixed.toLowerCase()));
    expect(code(() => sealedKeyPath("nobody"))).to.equal("CONTEXT_INVALID");
  });
});
