import { isIP } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { formatSize, parseSize } from "#sdk/amount.ts";
import { listenPlace } from "./monitoring.ts";
import { text } from "./value.ts";

/** The service by which local clients hand jobs to a requester; see `docs/requester-service.md`. */
export interface ServiceConfig {
  /**
   * Where to listen: an address and a port, such as `127.0.0.1:7443` (port 0 takes a free one), or `unix:` and the path of a
   * socket. An address that others can reach needs `tls`.
   */
  listen: string;
  /** Default: none, which only a loopback address or a socket may do. */
  tls?: ServiceTls;
  /**
   * The file of those who may call, which `surety service token` writes and the service reads again whenever it changes.
   * Default: `service-clients.json` in the home.
   */
  clients?: string;
  /** Most bytes that one job may upload, its job file apart. Defaults to 256 MiB. */
  maxUpload: number;
  /** Most bytes of outputs that one call may fetch. Defaults to 1 GiB. */
  maxResults: number;
}

/** Paths of PEM files. */
export interface ServiceTls {
  /** The service's certificate, and those between it and its authority. */
  cert: string;
  /** The certificate's private key. */
  key: string;
  /** Clients must show a certificate of this authority, beside their token. Default: their token will do. */
  clientCa?: string;
}

const UNIX = "unix:";
const MIB = 2 ** 20;
const MOST_BYTES = 64 * 2 ** 30;

const size = (usual: number) =>
  z
    .union([z.string(), z.number()])
    .transform((written, context) => {
      try {
        const bytes = parseSize(written);
        if (bytes >= MIB && bytes <= MOST_BYTES) return bytes;
      } catch {
        // The same answer.
      }
      context.addIssue({ code: "custom", message: `expected a size from 1 MiB to ${formatSize(MOST_BYTES)}` });
      return z.NEVER;
    })
    .default(usual);

/** The schema of {@link ServiceConfig}. Strict: unknown keys are refused. */
export const serviceSchema = z
  .strictObject({
    listen: z.string().refine((place) => servicePlace(place) !== undefined, {
      error: "expected an address and a port, such as 127.0.0.1:7443, or unix: and the path of a socket",
    }),
    tls: z.strictObject({ cert: text, key: text, clientCa: text.optional() }).optional(),
    clients: text.optional(),
    maxUpload: size(256 * MIB),
    maxResults: size(1024 * MIB),
  })
  .refine(({ listen, tls }) => tls !== undefined || isPrivate(listen), {
    path: ["listen"],
    error: "others can reach it, and tokens would travel in the clear: expected tls beside it, or 127.0.0.1",
  });

/** Where a service listens. */
export type ServicePlace = { kind: "port"; host: string; port: number } | { kind: "socket"; path: string };

/** Parts what `listen` says; undefined if it is neither an address nor a socket. */
export function servicePlace(listen: string): ServicePlace | undefined {
  if (listen.startsWith(UNIX)) {
    const path = listen.slice(UNIX.length);
    return path === "" || path.includes("\0") ? undefined : { kind: "socket", path };
  }
  const { host, port } = listenPlace(listen) ?? {};
  if (port === undefined) return undefined;
  return { kind: "port", host: host ?? "::", port };
}

/** Whether nobody but this machine can listen in on what is sent there. */
export function isPrivate(listen: string): boolean {
  const place = servicePlace(listen);
  return place?.kind === "socket" || (place?.kind === "port" && isLoopback(place.host));
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** The same with paths that count from a folder. */
export function serviceWithPaths(config: ServiceConfig, folder: string): ServiceConfig {
  const { listen, tls, clients } = config;
  const place = servicePlace(listen);
  return {
    ...config,
    listen: place?.kind === "socket" ? `${UNIX}${resolve(folder, place.path)}` : listen,
    ...(tls
      ? {
          tls: {
            cert: resolve(folder, tls.cert),
            key: resolve(folder, tls.key),
            ...(tls.clientCa === undefined ? {} : { clientCa: resolve(folder, tls.clientCa) }),
          },
        }
      : {}),
    ...(clients === undefined ? {} : { clients: resolve(folder, clients) }),
  };
}
