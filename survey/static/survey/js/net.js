// JSON over POST, without cookies. Offline: try again later. Refused: the server has decided; what a filter between it and
// the browser says instead is no decision.
import { within } from "./limits.js";

const LONGEST_MS = 20000;

export class Offline extends Error {}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function exchange(url, body, signal) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    cache: "no-store",
    signal,
  });
  return { ok: response.ok, status: response.status, content: await response.json().catch(() => null) };
}

export async function post(url, body) {
  const abort = typeof AbortController === "function" ? new AbortController() : null;
  const { ok, status, content } = await within(LONGEST_MS, exchange(url, body, abort?.signal)).catch((error) => {
    abort?.abort();
    throw new Offline(String(error));
  });
  if (ok && content !== null) return content;
  const { code, message = "" } = content?.error ?? {};
  if (ok || !code || status >= 500 || status === 429 || status === 408) throw new Offline(`status ${status}`);
  throw new Refused(status, code, message);
}

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID(); // absent where the page is not served over TLS
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
