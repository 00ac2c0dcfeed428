// JSON over POST, without cookies. Offline: try again later. Refused: the server has decided.

export class Offline extends Error {}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export async function post(url, body) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(20000),
    });
  } catch (error) {
    throw new Offline(String(error));
  }
  if (response.ok) return response.json().catch((error) => Promise.reject(new Offline(String(error))));
  if (response.status >= 500 || response.status === 429 || response.status === 408) throw new Offline(`status ${response.status}`);
  const { error = {} } = await response.json().catch(() => ({}));
  throw new Refused(response.status, error.code ?? "", error.message ?? "");
}

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID(); // absent where the page is not served over TLS
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
