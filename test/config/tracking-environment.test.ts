/**
 * Proves which MLflow server a run is sent to: keys of the config before MLflow's variables, user and password before a token, a password out of the address and into nothing that is printed, addresses that are no
 * server's passed over with a warning. Alone: npx vitest run test/config/tracking-environment.test.ts
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { type TrackingServer, trackingServer } from "../../src/config/tracking-environment.js";
import { userErrorOf } from "./user-error.js";

const warned: string[] = [];
function server(environment: Record<string, string>, ...overrides: string[]): TrackingServer | undefined {
  warned.length = 0;
  const { tracking } = loadConfig({ overrides: ["experiment=tiny", ...overrides], environment: {} }).config;
  return trackingServer(tracking, environment, (text) => warned.push(text));
}
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;
const URI = { MLFLOW_TRACKING_URI: "https://host:5000/mlflow/" };

describe("the server", () => {
  it("is none without an address, and none when it is switched off", () => {
    expect(server({})).toBeUndefined();
    expect(server({ MLFLOW_TRACKING_URI: "" })).toBeUndefined();
    expect(server(URI, "tracking.enabled=false")).toBeUndefined();
    expect(warned).toEqual([]);
  });

  it("is the environment's, under the config's keys", () => {
    const named = {
      ...URI,
      MLFLOW_EXPERIMENT_NAME: "theirs",
      MLFLOW_EXPERIMENT_ID: "7",
      MLFLOW_RUN_ID: "abc",
      MLFLOW_HTTP_REQUEST_TIMEOUT: "3",
      MLFLOW_HTTP_REQUEST_MAX_RETRIES: "2",
      MLFLOW_TRACKING_INSECURE_TLS: "true",
    };
    expect(server(named)).toMatchObject({
      uri: "https://host:5000/mlflow",
      experiment: { name: "theirs" },
      runId: "abc",
      timeout: 3000,
      retries: 2,
      tls: { insecure: true },
    });
    expect(server(named, "tracking.uri=http://mine", "tracking.experiment=ours", "tracking.timeout=5")).toMatchObject({
      uri: "http://mine",
      experiment: { name: "ours" },
      timeout: 5000,
    });
    expect(server({ ...URI, MLFLOW_EXPERIMENT_ID: "7" })?.experiment).toEqual({ id: "7" });
    expect(server(URI)).toMatchObject({
      experiment: { name: "tandem" },
      timeout: 30_000,
      retries: 7,
      tls: { insecure: false },
      authorization: undefined,
      secrets: [],
    });
  });

  it("is asked with user and password before a token before what stands in the address", () => {
    const inAddress = { MLFLOW_TRACKING_URI: "http://me:p%40ss@host" };
    expect(server(inAddress)).toMatchObject({
      uri: "http://host",
      authorization: basic("me:p@ss"),
      secrets: [Buffer.from("me:p@ss").toString("base64"), "p@ss", "p%40ss"],
    });
    expect(server({ ...inAddress, MLFLOW_TRACKING_TOKEN: "t" })).toMatchObject({
      uri: "http://host",
      authorization: "Bearer t",
      secrets: ["t"],
    });
    const both = { ...inAddress, MLFLOW_TRACKING_TOKEN: "t", MLFLOW_TRACKING_USERNAME: "u", MLFLOW_TRACKING_PASSWORD: "ä:b" };
    expect(server(both)?.authorization).toBe(basic("u:ä:b"));
    expect(server({ ...URI, MLFLOW_TRACKING_USERNAME: "u" })?.authorization).toBeUndefined();
  });

  it("may need certificates, which are read at once", () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), "tandem-pem-")), "ca.pem");
    writeFileSync(file, "-----BEGIN");
    expect(server({ ...URI, MLFLOW_TRACKING_SERVER_CERT_PATH: file, MLFLOW_TRACKING_CLIENT_CERT_PATH: file })?.tls).toEqual({
      insecure: false,
      authority: "-----BEGIN",
      clientCertificate: "-----BEGIN",
    });
    expect(userErrorOf(() => server({ ...URI, MLFLOW_TRACKING_SERVER_CERT_PATH: "/nowhere" }))).toMatch(
      /^MLFLOW_TRACKING_SERVER_CERT_PATH: \/nowhere can't be read \(ENOENT\)/,
    );
    expect(userErrorOf(() => server({ ...URI, MLFLOW_HTTP_REQUEST_TIMEOUT: "soon" }))).toMatch(
      /^MLFLOW_HTTP_REQUEST_TIMEOUT: is not a number; got "soon"/,
    );
  });

  it.each([
    "sqlite:///mlflow.db",
    "file:///mlruns",
    "./mlruns",
    "databricks",
    "http://",
    "http://u:geheim@host/a@b",
    "https://host?x=geheim@",
    "http://u:ge/heim@host",
    "mysql+pymysql://u:ge'heim@db/ml",
    'mysql+pymysql://u:ge"heim@db/ml',
  ])("isn't %s, which is said without the password", (uri) => {
    expect(server({ MLFLOW_TRACKING_URI: uri })).toBeUndefined();
    expect(warned).toHaveLength(1);
    expect(warned[0]).toMatch(/^MLFLOW_TRACKING_URI is .*which is no server's address .* tandem runs sync sends it$/);
    expect(warned[0]).not.toMatch(/geheim|heim@/);
  });
});

describe("an address in the config", () => {
  it.each([
    "http://u:geheim@host",
    "https://geheim@host:5000/x",
    "sqlite:///x",
    "host:5000",
    "http://host/?token=geheim@x",
    'http://u:ge"geheim@host:5',
  ])("%s is refused without repeating a password", (uri) => {
    const message = userErrorOf(() => server({}, `tracking.uri='${uri}'`));
    expect(message).toMatch(/'tracking\.uri' has a wrong value; expected http:\/\/host:port or https:\/\/host, without user and password/);
    expect(message).not.toContain("geheim");
  });

  it("may have a port and a prefix, and tags of one's own", () => {
    const { tracking } = loadConfig({
      overrides: ["experiment=tiny", "tracking.uri='http://[::1]:5000/a/b'", "+tracking.tags.team=x", "+tracking.tags.size=5"],
      environment: {},
    }).config;
    expect(tracking).toMatchObject({ uri: "http://[::1]:5000/a/b", tags: { team: "x", size: 5 } });
  });
});
