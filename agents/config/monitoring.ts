import { z } from "zod";

/** Where an agent tells how it is: metrics and health. */
export interface MonitoringConfig {
  /**
   * Address and port to listen on, such as `127.0.0.1:9464`; port 0 takes a free one. What is told is no secret, but
   * nobody's business either: give it an address that only the monitoring can reach.
   */
  listen: string;
}

/** `127.0.0.1:9464`, `[::1]:9464`, `:9464` for every address. */
const PLACE = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/;

/** The schema of {@link MonitoringConfig}. */
export const monitoringSchema = z.strictObject({
  listen: z.string().refine((place) => listenPlace(place) !== undefined, {
    error: "expected an address and a port, such as 127.0.0.1:9464",
  }),
});

/** Parts an address to listen on; no host means every address. Undefined if it is none. */
export function listenPlace(place: string): { host: string | undefined; port: number } | undefined {
  const [, six, four, digits] = PLACE.exec(place) ?? [];
  const port = Number(digits ?? -1);
  return port < 0 || port > 65_535 ? undefined : { host: six ?? (four || undefined), port };
}
