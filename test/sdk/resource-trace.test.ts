import { expect } from "chai";
import {
  decodeTrace,
  encodeTrace,
  MAX_TRACE_BYTES,
  MAX_TRACE_SAMPLES,
  openTrace,
  sealTrace,
  summariseTrace,
  type ContainerSample,
  type ResourceTrace,
} from "#sdk/resource-trace.ts";
import { openBytes, openDirectory, sealBytes } from "#sdk/sealed-file.ts";
import { codeOf } from "../support/error-code.ts";

const sample = (at: number, changes: Partial<ContainerSample> = {}): ContainerSample => ({
  ...{ at, cpu: at * 900, memory: 1 << 20, read: 0, written: 4096, processes: 2 },
  ...changes,
});
const container: ResourceTrace = {
  version: 1,
  source: "cgroup-v1",
  every: 40,
  samples: [sample(40), sample(80, { memory: 5 << 20 }), sample(97)],
};
const wasm: ResourceTrace = {
  version: 1,
  source: "wasm",
  every: 65_536,
  samples: [
    { at: 65_536, memory: 131_072, output: 0 },
    { at: 100_000, memory: 196_608, output: 12 },
  ],
};

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe("resource trace", () => {
  it("comes back as it was written, of containers and of WASM", () => {
    for (const trace of [container, wasm]) expect(decodeTrace(encodeTrace(trace))).to.deep.equal(trace);
  });

  it("has one spelling, whatever order its keys were in", () => {
    const [first] = wasm.samples;
    const turned = { ...wasm, samples: [{ output: first!.output, memory: first!.memory, at: first!.at }] };
    expect(new TextDecoder().decode(encodeTrace(turned as ResourceTrace))).to.equal(
      '{"version":1,"source":"wasm","every":65536,"samples":[{"at":65536,"memory":131072,"output":0}]}',
    );
  });

  it("is refused when it is not what it should be", async () => {
    const wrong: Record<string, unknown> = {
      "another version": { ...container, version: 2 },
      "another source": { ...container, source: "top" },
      "samples of the other kind": { ...container, samples: wasm.samples },
      "no samples": { ...container, samples: [] },
      "samples backwards": { ...container, samples: [sample(80), sample(40)] },
      "a sample twice": { ...container, samples: [sample(40), sample(40)] },
      "a negative number": { ...container, samples: [sample(40, { cpu: -1 })] },
      "a fraction": { ...container, samples: [sample(40, { memory: 1.5 })] },
      "an unknown key": { ...container, host: "mine" },
      "too many samples": {
        ...container,
        samples: Array.from({ length: MAX_TRACE_SAMPLES + 1 }, (_, index) => sample(index)),
      },
    };
    for (const [what, value] of Object.entries(wrong)) {
      expect(await codeOf(() => decodeTrace(bytesOf(value))), what).to.equal("RESOURCE_TRACE_INVALID");
    }
    const padded = new TextEncoder().encode(`${JSON.stringify(container)} `);
    expect(await codeOf(() => decodeTrace(padded))).to.equal("RESOURCE_TRACE_INVALID");
    expect(await codeOf(() => decodeTrace(new Uint8Array(MAX_TRACE_BYTES + 1)))).to.equal("RESOURCE_TRACE_INVALID");
  });

  it("fits when it is as full as can be", () => {
    const most = Number.MAX_SAFE_INTEGER;
    const full: ResourceTrace = {
      ...container,
      every: most,
      samples: Array.from({ length: MAX_TRACE_SAMPLES }, (_, index) =>
        sample(most - MAX_TRACE_SAMPLES + index, {
          cpu: most,
          memory: most,
          read: most,
          written: most,
          processes: most,
        }),
      ),
    };
    expect(encodeTrace(full).length).to.be.at.most(MAX_TRACE_BYTES);
  });

  it("opens with the key of its output, and is not taken for it", async () => {
    const key = crypto.getRandomValues(new Uint8Array(32));
    const sealed = sealTrace(container, key);
    expect(openTrace(sealed, key)).to.deep.equal(container);
    expect(await codeOf(() => openTrace(sealed, new Uint8Array(32)))).to.equal("SEALED_FILE_CORRUPT");
    expect(await codeOf(() => openTrace(sealBytes(encodeTrace(container), { key }).bytes, key))).to.equal(
      "SEALED_FILE_CORRUPT",
    );
    expect(await codeOf(() => openBytes(sealed, key))).to.equal("SEALED_FILE_CORRUPT");
    expect(await codeOf(() => openDirectory(sealed, key, { maxBytes: 1 << 20 }))).to.equal("SEALED_FILE_CORRUPT");
  });

  it("is summed up", () => {
    expect(summariseTrace(container)).to.deep.equal({
      milliseconds: 97,
      cpu: 97 * 900,
      peakMemory: 5 << 20,
      read: 0,
      written: 4096,
      samples: 3,
    });
    expect(summariseTrace(wasm)).to.deep.equal({ fuel: 100_000, peakMemory: 196_608, written: 12, samples: 2 });
  });
});
