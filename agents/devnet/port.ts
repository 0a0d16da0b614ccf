import { createServer } from "node:net";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/**
 * A port on 127.0.0.1 that nobody listens at.
 *
 * @param wanted 0 for any.
 * @throws SuretyError `PORT_TAKEN` (exit 5)
 */
export async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(wanted, "127.0.0.1", resolve);
    });
  } catch (cause) {
    throw new SuretyError("PORT_TAKEN", `port ${wanted} cannot be listened at: ${(cause as Error).message}`, {
      details: { port: wanted },
      fix: "Give another with --port, or 0 for any that is free.",
      cause,
      exit: ExitStatus.busy,
    });
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : wanted;
}
