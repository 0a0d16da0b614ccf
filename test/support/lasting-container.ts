/** An agent of tests that begins a task that lasts, and says so: to be killed in the middle of it. */
import { busyboxImage, shell, testExecutor, testTask } from "./docker-engine.ts";

const [owner] = process.argv.slice(2);
const executor = testExecutor({ owner });
const image = await busyboxImage();
await executor.run(testTask(image.program(shell("echo > /out/file; sleep 600"))), {
  watch: () => {
    console.log("running");
    return { ended: () => undefined };
  },
});
