/** What the SDK has for Node alone. */
export { EmbeddedStorage, openEmbeddedStorage } from "./embedded-storage.ts";
export type { EmbeddedStorageOptions } from "./embedded-storage.ts";
export { startGateway } from "./gateway-server.ts";
export type { Gateway, GatewayServerOptions } from "./gateway-server.ts";
