/**
 * How the hub is reached and where its cache is, from the variables that Python's huggingface_hub reads, so that both find each other's files. It asks nobody. The trap: the token is a secret; it
 * stands in no config, no run directory, no message, and a broken one is refused without being shown.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { UserError } from "../errors.js";
import type { Environment } from "./interpolate.js";

export interface HubSettings {
  /** `https://huggingface.co` or a mirror, without a slash at its end. */
  readonly endpoint: string;
  /** The folder of `models--org--name` folders. */
  readonly cache: string;
  readonly token?: string;
  /** Nothing may be asked of the network. */
  readonly offline: boolean;
  /** Milliseconds without a byte until a connection is given up. */
  readonly timeout: number;
  /** Milliseconds before the first repetition of a request; doubled each time. */
  readonly pause: number;
  /** Addresses of proxies, with passwords where they need one, and what is reached without. */
  readonly proxy?: { readonly http: string; readonly https: string; readonly except: string };
}

/**
 * The settings that `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE` and their older names make, with `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
 *
 * @throws UserError naming the variable that can't be used
 */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const given = (...names: readonly string[]): string | undefined =>
    names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
  const home = expanded(
    given("HF_HOME") ?? path.join(given("XDG_CACHE_HOME") ?? path.join(homedir(), ".cache"), "huggingface"),
    environment,
  );
  const cache = expanded(given("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? path.join(home, "hub"), environment);
  const tokenFile = expanded(given("HF_TOKEN_PATH") ?? path.join(home, "token"), environment);
  const token = isTrue(given("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    ? undefined
    : tokenOf(given("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), tokenFile);
  const seconds = Number(given("HF_HUB_DOWNLOAD_TIMEOUT") ?? "10");
  if (!(seconds > 0 && seconds < 86_400))
    throw new UserError({ where: "HF_HUB_DOWNLOAD_TIMEOUT", what: "can't be used", expected: "seconds", remedy: "set it to 10" });
  const proxy = proxyOf(given);
  return {
    endpoint: endpointOf(given("HF_ENDPOINT") ?? "https://huggingface.co"),
    cache,
    ...(token === undefined ? {} : { token }),
    offline: isTrue(given("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
    timeout: seconds * 1000,
    pause: 500,
    ...(proxy === undefined ? {} : { proxy }),
  };
}

/** As curl has it: small letters first, `http://` where the address names no scheme. */
function proxyOf(given: (...names: readonly string[]) => string | undefined): HubSettings["proxy"] {
  const address = (name: string): string => {
    const text = given(name.toLowerCase(), name);
    if (text === undefined) return "";
    const whole = text.includes("://") ? text : `http://${text}`;
    if (URL.canParse(whole) && /^https?:$/.test(new URL(whole).protocol)) return whole;
    // It may hold a password, so it isn't shown.
    throw new UserError({
      where: name,
      what: "is not the address of a proxy that can be used",
      expected: "http:// or https:// and a host",
      remedy: "mend or unset the variable",
    });
  };
  const [http, https] = [address("HTTP_PROXY"), address("HTTPS_PROXY")];
  return http === "" && https === "" ? undefined : { http, https, except: given("no_proxy", "NO_PROXY") ?? "" };
}

/** `~` and `$NAME` in a path, as huggingface_hub has them. */
function expanded(text: string, environment: Environment): string {
  const named = text.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (whole, bare?: string, braced?: string) => environment[bare ?? braced ?? ""] ?? whole,
  );
  return path.resolve(named.replace(/^~(?=\/|$)/, homedir()));
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ["1", "ON", "YES", "TRUE"].includes(value.toUpperCase());
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === "";
  if (isPlain) return url.href.replace(/\/+$/, "");
  // It may hold a password, so it isn't shown.
  throw new UserError({
    where: "HF_ENDPOINT",
    what: "is not the address of a hub",
    expected: "http:// or https://, a host, and neither password nor ?query",
    remedy: "set it to https://huggingface.co, or unset it",
  });
}

function tokenOf(given: string | undefined, file: string): string | undefined {
  const token = (given ?? readToken(file))?.trim();
  if (token === undefined || token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UserError({
    where: given === undefined ? file : "HF_TOKEN",
    what: "is not a token (it isn't shown here)",
    expected: "one word of plain characters",
    remedy: "copy it again from the hub's settings",
  });
}

function readToken(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new UserError({
      where: file,
      what: `the hub's token can't be read (${code ?? "unknown"})`,
      remedy: "mend the file or set HF_TOKEN",
    });
  }
}
