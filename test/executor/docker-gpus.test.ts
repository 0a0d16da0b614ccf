import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import { GpuPool } from "../../agents/executor/docker/gpus.ts";
import { codeOf } from "../support/error-code.ts";

const GIB = 2 ** 30;
const capabilities = ["compute"];

describe("GPUs of a host", () => {
  const never = new AbortController().signal;
  const pool = (): GpuPool => new GpuPool([{ id: "0", memory: 8 * GIB }, { id: "1", memory: 24 * GIB }, { id: "2" }]);

  it("are refused to who wants more than there are, or than are known to be large enough", async () => {
    const gpus = pool();
    expect(gpus.check({ count: 3, capabilities })).to.deep.equal(["0", "1", "2"]);
    expect(gpus.check({ count: 1, memory: 16 * GIB, capabilities })).to.deep.equal(["1"]);
    expect(await codeOf(() => gpus.check({ count: 4, capabilities }))).to.equal("GPU_UNAVAILABLE");
    expect(await codeOf(() => gpus.check({ count: 3, memory: 1, capabilities }))).to.equal("GPU_UNAVAILABLE");
    expect(await codeOf(() => new GpuPool([]).check({ count: 1, capabilities }))).to.equal("GPU_UNAVAILABLE");
  });

  it("are lent to one task at a time, in the order in which tasks ask", async () => {
    const gpus = pool();
    const order: string[] = [];
    const first = await gpus.lend({ count: 2, capabilities }, never);
    const all = gpus.lend({ count: 3, capabilities }, never).then((lent) => {
      order.push("all");
      return lent;
    });
    // One is free, but whoever wants all would never get them if others went past.
    const one = gpus.lend({ count: 1, capabilities }, never).then((lent) => {
      order.push("one");
      return lent;
    });
    await turn();
    expect([first.ids, order]).to.deep.equal([["0", "1"], []]);
    first.giveBack();
    const three = await all;
    expect([three.ids, order]).to.deep.equal([["0", "1", "2"], ["all"]]);
    three.giveBack();
    expect((await one).ids).to.deep.equal(["0"]);
  });

  it("go to the next when a task that waits is given up", async () => {
    const gpus = pool();
    const first = await gpus.lend({ count: 1, capabilities }, never);
    const stop = new AbortController();
    const all = gpus.lend({ count: 3, capabilities }, stop.signal).catch((error: Error) => error.message);
    const one = gpus.lend({ count: 1, capabilities }, never);
    stop.abort(new Error("given up"));
    expect(await all).to.equal("given up");
    expect((await one).ids).to.deep.equal(["1"]);
    first.giveBack();
  });
});
