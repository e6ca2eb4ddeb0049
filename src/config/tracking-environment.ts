/**
 * Which MLflow server a run is sent to, with what the environment says about it: MLflow's own variables, under MLflow's own rules of precedence. A key of the config wins over its variable; secrets have no key.
 * It opens no connection. The trap: what is returned holds passwords; it goes to the client and nowhere else, never into a log, an error or the run directory.
 * Source: MLflow 3, `mlflow/environment_variables.py`, `mlflow/utils/rest_utils.py` (user and password win over the token) and `mlflow/utils/credentials.py`.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { UserError, withoutPasswords } from "../errors.js";
import type { Environment } from "./interpolate.js";
import type { TrackingConfig } from "./schema.js";
import { SERVER_ADDRESS, SERVER_ADDRESS_WANTED } from "./schema-tracking.js";

export type { Environment };

/** All that the client needs to reach a server. */
export interface TrackingServer {
  /** Without user and password, without a slash at the end. */
  readonly uri: string;
  readonly experiment: { readonly name: string } | { readonly id: string };
  /** The MLflow run that a new run directory is sent to, in place of one of its own. */
  readonly runId: string | undefined;
  /** Value of the Authorization header. */
  readonly authorization: string | undefined;
  /** Texts that no message may hold. */
  readonly secrets: readonly string[];
  readonly tls: {
    readonly insecure: boolean;
    readonly authority: string | undefined;
    readonly clientCertificate: string | undefined;
  };
  readonly proxy: { readonly http: string | undefined; readonly https: string | undefined; readonly except: string | undefined };
  /** Milliseconds of silence. */
  readonly timeout: number;
  /** How often a foreground sync tries again. */
  readonly retries: number;
}

const DEFAULT_EXPERIMENT = "tandem";
const DEFAULT_TIMEOUT = 30;
const DEFAULT_RETRIES = 7;

/**
 * The server that config and environment name; undefined when there is none. An address in the environment that isn't a server's (a folder, a database, Databricks) is told to `warn` and passed over.
 *
 * @throws UserError for a certificate that can't be read and for a variable that isn't a number
 */
export function trackingServer(config: TrackingConfig, environment: Environment, warn: (text: string) => void): TrackingServer | undefined {
  const given = (name: string): string | undefined => (environment[name] === "" ? undefined : environment[name]);
  const address = config.uri ?? given("MLFLOW_TRACKING_URI");
  if (!config.enabled || address === undefined) return undefined;
  const { uri, user } = withoutUser(address);
  if (!SERVER_ADDRESS.test(uri) || !URL.canParse(uri)) {
    warn(
      `MLFLOW_TRACKING_URI is ${withoutPasswords(address)}, which is no server's address (expected http:// or https://): this run is kept in its directory alone; start one with mlflow server, and tandem runs sync sends it`,
    );
    return undefined;
  }
  const { authorization, secrets } = authorise(given, user);
  return {
    uri,
    experiment: experimentOf(config, given),
    runId: given("MLFLOW_RUN_ID"),
    authorization,
    secrets,
    tls: {
      insecure: /^(true|1)$/i.test(given("MLFLOW_TRACKING_INSECURE_TLS") ?? ""),
      authority: certificate(given, "MLFLOW_TRACKING_SERVER_CERT_PATH"),
      clientCertificate: certificate(given, "MLFLOW_TRACKING_CLIENT_CERT_PATH"),
    },
    proxy: {
      http: given("http_proxy") ?? given("HTTP_PROXY"),
      https: given("https_proxy") ?? given("HTTPS_PROXY"),
      except: given("no_proxy") ?? given("NO_PROXY"),
    },
    timeout: 1000 * (config.timeout ?? numberOf(given, "MLFLOW_HTTP_REQUEST_TIMEOUT") ?? DEFAULT_TIMEOUT),
    retries: numberOf(given, "MLFLOW_HTTP_REQUEST_MAX_RETRIES") ?? DEFAULT_RETRIES,
  };
}

type Given = (name: string) => string | undefined;

function experimentOf(config: TrackingConfig, given: Given): TrackingServer["experiment"] {
  const name = config.experiment ?? given("MLFLOW_EXPERIMENT_NAME");
  const id = given("MLFLOW_EXPERIMENT_ID");
  return name === undefined && id !== undefined ? { id } : { name: name ?? DEFAULT_EXPERIMENT };
}

/** The address apart from the user and password that may stand in it. */
function withoutUser(address: string): { uri: string; user: string | undefined } {
  const [, scheme, user, rest] = /^([a-z]+:\/\/)([^/?#]*)@([^]*)$/i.exec(address.trim()) ?? [];
  const uri = scheme === undefined ? address.trim() : `${scheme}${rest ?? ""}`;
  return { uri: uri.replace(/\/+$/, ""), user };
}

function authorise(given: Given, user: string | undefined): Pick<TrackingServer, "authorization" | "secrets"> {
  const stored = credentialsFile();
  const name = given("MLFLOW_TRACKING_USERNAME") ?? stored.name;
  const password = given("MLFLOW_TRACKING_PASSWORD") ?? stored.password;
  const token = given("MLFLOW_TRACKING_TOKEN");
  if (name !== undefined && password !== undefined) return basic(`${name}:${password}`, password);
  if (token !== undefined) return { authorization: `Bearer ${token}`, secrets: [token] };
  if (user === undefined) return { authorization: undefined, secrets: [] };
  const [userName = "", ...words] = user.split(":");
  return basic(`${decoded(userName)}:${decoded(words.join(":"))}`, decoded(words.join(":")), words.join(":"));
}

function basic(pair: string, ...passwords: string[]): Pick<TrackingServer, "authorization" | "secrets"> {
  const encoded = Buffer.from(pair).toString("base64");
  return { authorization: `Basic ${encoded}`, secrets: [encoded, ...passwords].filter((secret) => secret !== "") };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `~/.mlflow/credentials`, as `mlflow login` writes it: an INI file with one section. */
function credentialsFile(): { name?: string; password?: string } {
  let text: string;
  try {
    text = readFileSync(path.join(homedir(), ".mlflow", "credentials"), "utf8");
  } catch {
    return {};
  }
  const own = /^\s*\[mlflow\]\s*$([^]*?)(?=^\s*\[|(?![^]))/m.exec(text)?.[1] ?? "";
  const value = (key: string): string | undefined => new RegExp(`^\\s*${key}\\s*[=:]\\s*(.*?)\\s*$`, "m").exec(own)?.[1];
  const name = value("mlflow_tracking_username");
  const password = value("mlflow_tracking_password");
  return { ...(name === undefined ? {} : { name }), ...(password === undefined ? {} : { password }) };
}

function certificate(given: Given, variable: string): string | undefined {
  const file = given(variable);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UserError({
      where: variable,
      what: `${file} can't be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      expected: "a PEM file",
      remedy: "mend the path, or unset the variable",
    });
  }
}

function numberOf(given: Given, variable: string): number | undefined {
  const text = given(variable);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new UserError({ where: variable, what: "is not a number", got: JSON.stringify(text), remedy: "mend or unset the variable" });
}

/** The config key's own check, for an address that is given elsewhere. @throws UserError */
export function requireServerAddress(where: string, address: string): string {
  if (SERVER_ADDRESS.test(address) && URL.canParse(address)) return address;
  throw new UserError({ where, what: "is no server's address", expected: SERVER_ADDRESS_WANTED, got: JSON.stringify(address) });
}
