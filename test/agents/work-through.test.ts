import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { workThrough } from "../../agents/work-through.ts";

describe("work on many items", () => {
  it("begins them in order, so many at once", async () => {
    const begun: number[] = [];
    let underWay = 0;
    let most = 0;
    await workThrough([1, 2, 3, 4, 5, 6, 7], { atOnce: 3 }, async (item) => {
      begun.push(item);
      most = Math.max(most, (underWay += 1));
      await sleep(item % 2);
      underWay -= 1;
    });
    expect(begun).to.deep.equal([1, 2, 3, 4, 5, 6, 7]);
    expect([most, underWay]).to.deep.equal([3, 0]);
  });

  it("begins nothing after the first failure, which it ends with once nothing is under way", async () => {
    const begun: number[] = [];
    const ended: number[] = [];
    const error: unknown = await workThrough([1, 2, 3, 4], { atOnce: 2 }, async (item) => {
      begun.push(item);
      if (item === 2) throw new Error("the second");
      await sleep(20);
      ended.push(item);
      if (item === 1) throw new Error("the first, later");
    }).catch((reason: unknown) => reason);
    expect(error).to.include({ message: "the second" });
    expect([begun, ended]).to.deep.equal([[1, 2], [1]]);
  });
});
