/**
 * A proxy on this machine, for tests: it tunnels (CONNECT) and passes plain requests on, to the places that the test gives names to. It can ask for a password. Not a cache, and no more of HTTP than that.
 */
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface SmallProxy {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** `CONNECT hub.test:443`, `GET http://hub.test/…` in their order. */
  readonly asked: string[];
  /** `user:password` without which nothing goes through. */
  password: string | undefined;
  close(): Promise<void>;
}

/** @param places port of this machine by the name and port that a client says: `hub.test:443` */
export async function startProxy(places: ReadonlyMap<string, number>): Promise<SmallProxy> {
  const state: { password: string | undefined } = { password: undefined };
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const isBarred = ({ headers }: IncomingMessage): boolean =>
    state.password !== undefined && headers["proxy-authorization"] !== `Basic ${Buffer.from(state.password).toString("base64")}`;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    asked.push(`${request.method ?? ""} ${request.url ?? ""}`);
    const url = new URL(request.url ?? "");
    if (isBarred(request)) {
      response.writeHead(407).end();
      return;
    }
    const port = places.get(`${url.hostname}:${url.port === "" ? "80" : url.port}`) ?? Number(url.port);
    const headers = { ...request.headers };
    delete headers["proxy-authorization"];
    const onward = ask({ host: "127.0.0.1", port, method: request.method, path: url.pathname + url.search, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
    asked.push(`CONNECT ${request.url ?? ""}`);
    if (isBarred(request)) {
      client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      return;
    }
    const onward: Socket = connect(places.get(request.url ?? "") ?? Number((request.url ?? "").split(":").at(-1)), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    for (const socket of [onward, client]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    get password() {
      return state.password;
    },
    set password(value) {
      state.password = value;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
