import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Passes connections on to a port of this host, and cuts some of them. */
export class BreakingProxy {
  /** Cuts so many more connections that have carried more than `bytes` in one direction, and is away for a while then. */
  readonly cut = { up: 0, down: 0, bytes: 1_000_000, awayMs: 0 };
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #isAway = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(port: number): Promise<BreakingProxy> {
    const server = createServer();
    const proxy = new BreakingProxy(server);
    server.on("connection", (client) => proxy.#pass(client, connect(port, "127.0.0.1")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections, and takes no new ones until told otherwise. */
  set isAway(isAway: boolean) {
    this.#isAway = isAway;
    if (isAway) for (const socket of this.#open) socket.destroy();
  }

  close(): void {
    this.isAway = true;
    this.#server.close();
  }

  #pass(client: Socket, server: Socket): void {
    const end = (): void => {
      client.destroy();
      server.destroy();
      this.#open.delete(client);
    };
    if (this.#isAway) return end();
    this.#open.add(client);
    for (const socket of [client, server]) socket.on("error", end).on("close", end);
    const pass = (from: Socket, to: Socket, way: "up" | "down"): void => {
      let carried = 0;
      from.on("data", (piece) => {
        carried += piece.length;
        if (carried > this.cut.bytes && this.cut[way] > 0) {
          this.cut[way] -= 1;
          if (this.cut.awayMs > 0) {
            this.isAway = true;
            setTimeout(() => (this.isAway = false), this.cut.awayMs).unref();
          }
          return end();
        }
        if (!to.write(piece)) from.pause();
      });
      to.on("drain", () => from.resume());
    };
    pass(client, server, "up");
    pass(server, client, "down");
  }
}
