/**
 * Proves over real TLS that the client trusts the authority it is given and no other, shows its own certificate to a server that wants one, goes through a proxy's tunnel and past it, and that each refusal says
 * what is wrong and what mends it.
 * Alone: npx vitest run test/tracking/mlflow-tls.test.ts
 */
import type { Server } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MlflowError, MlflowTransport, type MlflowServer } from "../../src/tracking/mlflow-transport.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { reach } from "./made-run.js";
import { Authority, opensslMissing, secureServer, tunnellingProxy } from "./secure-server.js";

const NO_TLS: MlflowServer["tls"] = { insecure: false, authority: undefined, clientCertificate: undefined };

async function ask(uri: string, more: Partial<MlflowServer> = {}): Promise<unknown> {
  const transport = new MlflowTransport(reach(uri, more));
  try {
    return await transport.send({ method: "GET", path: "api" }, new AbortController().signal);
  } finally {
    await transport.close();
  }
}

async function refusal(asking: Promise<unknown>): Promise<string> {
  const error: unknown = await asking.then(
    (answer) => new Error(`answered ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MlflowError);
  expect((error as MlflowError).kind).toBe("away");
  expect((error as MlflowError).message).not.toContain("\n");
  return (error as MlflowError).message;
}

describe.skipIf(opensslMissing !== undefined)(`a server behind TLS${opensslMissing === undefined ? "" : `: ${opensslMissing}`}`, () => {
  const folder = temporaryFolder();
  const running: Server[] = [];
  let [authority, stranger]: Authority[] = [];
  let [plain, closed, expired, elsewhere] = ["", "", "", ""];
  let client = "";
  let proxy: Awaited<ReturnType<typeof tunnellingProxy>>;

  beforeAll(async () => {
    authority = new Authority(folder, "authority");
    stranger = new Authority(folder, "stranger");
    const own = authority.sign("server", "IP:127.0.0.1,DNS:localhost");
    const signed = authority.sign("client", "DNS:client");
    client = `${signed.certificate}${signed.key}`;
    const start = async (...words: Parameters<typeof secureServer>): Promise<string> => {
      const { server, port } = await secureServer(...words);
      running.push(server);
      return `https://127.0.0.1:${port}`;
    };
    plain = await start(own);
    closed = await start(own, authority);
    expired = await start(authority.sign("old", "IP:127.0.0.1", -1));
    elsewhere = await start(authority.sign("other", "DNS:elsewhere.example"));
    proxy = await tunnellingProxy();
    running.push(proxy.server);
  }, 60_000);
  afterAll(() => {
    for (const server of running) server.close();
  });

  const trusting = (more: Partial<MlflowServer["tls"]> = {}): Pick<MlflowServer, "tls"> => ({
    tls: { ...NO_TLS, authority: authority!.certificate, ...more },
  });

  it("is trusted by the authority that is named, and by that alone", async () => {
    expect(await ask(plain, trusting())).toEqual({ client: null, authorization: null });
    for (const tls of [NO_TLS, { ...NO_TLS, authority: stranger!.certificate }])
      expect(await refusal(ask(plain, { tls }))).toMatch(
        /^no answer \([A-Z_]+: its certificate is signed by an authority that isn't trusted here; MLFLOW_TRACKING_SERVER_CERT_PATH names a PEM file of that authority\)$/,
      );
    expect(await ask(plain, { tls: { ...NO_TLS, insecure: true } })).toEqual({ client: null, authorization: null });
  });

  it("is refused when its certificate has expired or is another's", async () => {
    expect(await refusal(ask(expired, trusting()))).toMatch(/CERT_HAS_EXPIRED: its certificate, or that of its authority, has expired/);
    expect(await refusal(ask(elsewhere, trusting()))).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID: its certificate is for another name/);
  });

  it("that wants a client's certificate gets the one that is named, and says what is missing without", async () => {
    expect(await ask(closed, trusting({ clientCertificate: client }))).toMatchObject({ client: "client" });
    const other = stranger!.sign("client", "DNS:client");
    for (const clientCertificate of [undefined, `${other.certificate}${other.key}`])
      expect(await refusal(ask(closed, trusting({ clientCertificate })))).toMatch(
        /wants a client certificate.*MLFLOW_TRACKING_CLIENT_CERT_PATH names a PEM file/,
      );
  });

  it("is reached through a proxy's tunnel, with both certificates and the password for the server alone", async () => {
    const through = { proxy: { http: undefined, https: `http://me:secret@127.0.0.1:${proxy.port}`, except: undefined } };
    const before = proxy.asked.length;
    const authorization = "Basic eDp5";
    expect(await ask(closed, { ...trusting({ clientCertificate: client }), ...through, authorization })).toEqual({
      client: "client",
      authorization,
    });
    expect(proxy.asked.slice(before)).toEqual([{ to: closed.slice("https://".length), authorization: `Basic ${btoa("me:secret")}` }]);
    expect(await refusal(ask(plain, { tls: { ...NO_TLS, authority: stranger!.certificate }, ...through }))).toMatch(/isn't trusted here/);
  });

  it("is reached past the proxy where NO_PROXY names it, and not at all when the proxy is gone", async () => {
    const before = proxy.asked.length;
    const address = `http://127.0.0.1:${proxy.port}`;
    expect(await ask(plain, { ...trusting(), proxy: { http: undefined, https: address, except: "127.0.0.1" } })).toMatchObject({
      client: null,
    });
    expect(proxy.asked).toHaveLength(before);
    const gone = { http: undefined, https: "http://me:secret@127.0.0.1:1", except: undefined };
    const said = await refusal(ask(plain, { ...trusting(), proxy: gone, secrets: ["secret"] }));
    expect(said).toMatch(/ECONNREFUSED/);
    expect(said).not.toContain("secret");
  });

  it("that speaks no TLS is told from one that is away", async () => {
    expect(await refusal(ask(`https://127.0.0.1:${proxy.port}`))).toMatch(/it speaks no TLS at this port; is the address http:\/\/\?/);
  });
});
