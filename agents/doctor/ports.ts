import { createServer } from "node:net";
import { listenPlace } from "../config/monitoring.ts";
import { ok, problem, type Finding } from "./finding.ts";

/** Sees whether an agent could listen where it is told to. `unix:` places are not looked at. */
export async function examinePort(
  { listen, key }: { listen: string; key: string },
  { holder }: { holder: number | undefined },
): Promise<Finding | undefined> {
  const place = listenPlace(listen);
  if (!place) return undefined;
  const about = `port ${place.port}`;
  if (place.port === 0) return ok("port", `${key} takes a free one`);
  const server = createServer();
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once("error", resolve);
    server.listen(place.port, place.host, () => resolve(undefined));
  });
  await new Promise((resolve) => server.close(resolve));
  if (!failure) return ok(about, `free for ${key}`);
  if (failure.code === "EADDRINUSE" && holder !== undefined) return ok(about, "in use, and the agent runs");
  const fix =
    failure.code === "EADDRINUSE"
      ? `See who has it (ss -ltnp 'sport = :${place.port}'), and stop that or name another in ${key}.`
      : `Name in ${key} an address of this machine, and a port from 1024 on.`;
  return problem(about, `cannot listen on ${listen}: ${failure.code}`, fix, "MONITORING_PORT");
}
