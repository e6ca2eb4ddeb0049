/**
 * What a failed TLS handshake means and what mends it, by the code that Node or OpenSSL gives. Other failures (no route, no name) say enough by their codes. The trap: a server that wants a client's certificate
 * ends the connection only after the handshake, so its refusal may come as a broken connection.
 */

const AUTHORITY =
  "its certificate is signed by an authority that isn't trusted here; MLFLOW_TRACKING_SERVER_CERT_PATH names a PEM file of that authority";
const CLIENT = "MLFLOW_TRACKING_CLIENT_CERT_PATH names a PEM file of certificate and key";

const MEANINGS: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: AUTHORITY,
  CERT_SIGNATURE_FAILURE: AUTHORITY,
  CERT_UNTRUSTED: AUTHORITY,
  CERT_HAS_EXPIRED: "its certificate, or that of its authority, has expired",
  CERT_NOT_YET_VALID: "its certificate isn't valid yet; check the clock of this machine",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name than the address has",
  ERR_SSL_WRONG_VERSION_NUMBER: "it speaks no TLS at this port; is the address http://?",
};

/** How a broken connection is called: by the system, by undici. */
const BROKEN = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

/** The code, with its meaning where it has one at this address. */
export function describeCode(code: string, uri: string): string {
  const meaning = meaningOf(code, uri.toLowerCase().startsWith("https:"));
  return meaning === undefined ? code : `${code}: ${meaning}`;
}

function meaningOf(code: string, isSecure: boolean): string | undefined {
  if (/_ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)$/.test(code))
    return `it wants a client certificate that it trusts; ${CLIENT}`;
  if (isSecure && BROKEN.has(code)) return `it broke the connection off; if it wants a client certificate, ${CLIENT}`;
  return MEANINGS[code];
}
