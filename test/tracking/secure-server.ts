/** A server behind TLS with an authority of its own, made by openssl, and a proxy that only tunnels. Not a test: used by those that reach a server through them. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer, type Server as SecureServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import path from "node:path";
import { TLSSocket } from "node:tls";

const openssl = process.env["OPENSSL"] ?? "openssl";

/** Why these tests can't run, or undefined when they can. */
export const opensslMissing = spawnSync(openssl, ["version"]).status === 0 ? undefined : `no ${openssl}`;

interface Signed {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority in a folder. */
export class Authority {
  readonly #folder: string;
  readonly #name: string;
  readonly certificate: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.#openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
    );
    this.certificate = this.#read(`${name}.pem`);
  }

  /** A certificate for a name, `DNS:localhost` or `IP:127.0.0.1`; negative days: one that has expired. */
  sign(owner: string, names: string, days = 2): Signed {
    const file = `${this.#name}-${owner}`;
    this.#openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-subj",
      `/CN=${owner}`,
      "-keyout",
      `${file}.key`,
      "-out",
      `${file}.csr`,
    );
    writeFileSync(path.join(this.#folder, `${file}.ext`), `subjectAltName=${names}\n`);
    this.#openssl(
      "x509",
      "-req",
      "-in",
      `${file}.csr`,
      "-CA",
      `${this.#name}.pem`,
      "-CAkey",
      `${this.#name}.key`,
      "-CAcreateserial",
      "-days",
      String(days),
      "-extfile",
      `${file}.ext`,
      "-out",
      `${file}.pem`,
    );
    return { certificate: this.#read(`${file}.pem`), key: this.#read(`${file}.key`) };
  }

  #openssl(...words: string[]): void {
    execFileSync(openssl, words, { cwd: this.#folder, stdio: ["ignore", "ignore", "pipe"] });
  }

  #read(name: string): string {
    return readFileSync(path.join(this.#folder, name), "utf8");
  }
}

export interface Running<Kind> {
  readonly server: Kind;
  readonly port: number;
}

/** Answers every request with whom it came from. @param clients the authority that a client's certificate must be signed by */
export async function secureServer({ certificate, key }: Signed, clients?: Authority): Promise<Running<SecureServer>> {
  const server = createServer(
    { cert: certificate, key, ...(clients === undefined ? {} : { ca: clients.certificate, requestCert: true, rejectUnauthorized: true }) },
    (request, response) => {
      const subject =
        request.socket instanceof TLSSocket ? (request.socket.getPeerCertificate().subject as { CN?: string } | undefined) : undefined;
      response.end(JSON.stringify({ client: subject?.CN ?? null, authorization: request.headers.authorization ?? null }));
    },
  );
  server.on("tlsClientError", () => undefined);
  return { server, port: await listening(server) };
}

/** A proxy that tunnels CONNECT and refuses all else; notes where it was asked to go, and with what words of its own. */
export async function tunnellingProxy(): Promise<
  Running<Server> & { readonly asked: { to: string | undefined; authorization: string | undefined }[] }
> {
  const asked: { to: string | undefined; authorization: string | undefined }[] = [];
  const server = createHttpServer((_, response) => void response.writeHead(405).end());
  server.on("connect", (request, socket, head) => {
    asked.push({ to: request.url, authorization: request.headers["proxy-authorization"] });
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host === "localhost" ? "127.0.0.1" : host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const end of [socket, upstream]) end.on("error", () => (socket.destroy(), upstream.destroy()));
  });
  return { server, port: await listening(server), asked };
}

function listening(server: Server | SecureServer): Promise<number> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}
