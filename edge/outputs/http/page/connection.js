// The WebSocket and the requests, with the token if there is one; tries again for ever, less and less often.

const SOONEST_MS = 500;
const LATEST_MS = 10_000;
const SILENT_MS = 25_000; // health comes every 10 s, whatever the mat does
const ANSWER_MS = 5_000;
const TOKEN = "token";

const decoder = new TextDecoder();

// What a picture is stands in server.py.
export function parsePicture(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  return { ...head, samples: new Uint16Array(buffer, 4 + length) };
}

// /#token=... is taken out of the address, so that it is neither shown nor kept in the history
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get(TOKEN);
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname);
  }
}

const token = () => sessionStorage.getItem(TOKEN);
const base64url = (text) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token() && { Authorization: `Bearer ${token()}` }) };
  return fetch(path, { ...options, headers });
}

export async function command(action, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await ask(`api/${action}`, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    return response.headers.get("Content-Type").startsWith("application/json") ? JSON.parse(text) : { ok: false, text };
  } catch {
    return { ok: false, text: "the daemon cannot be reached" };
  }
}

export class Connection {
  // on: state(json), line(object, picture or null), status("connecting" | "open" | "waiting", detail), token(),
  // paused() -> whether it is no wonder that nothing comes
  constructor(on) {
    this.on = on;
    this.delay = SOONEST_MS;
    addEventListener("online", () => this.#now());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#now());
    this.#connect();
  }

  useToken(text) {
    sessionStorage.setItem(TOKEN, text);
    this.#connect();
  }

  #now() {
    if (this.timer) this.#connect();
  }

  async #connect() {
    clearTimeout(this.timer);
    this.timer = null;
    this.on.status("connecting");
    try {
      const response = await ask("api/state", { signal: AbortSignal.timeout(ANSWER_MS) });
      if (response.status === 401) return this.on.token();
      if (!response.ok) return this.#again(await response.text());
      this.on.state(await response.json());
    } catch {
      return this.#again("the daemon cannot be reached");
    }
    this.#listen();
  }

  #listen() {
    const url = new URL("ws", location.href.split("#")[0]);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, ["mat-view", ...(token() ? [`bearer.${base64url(token())}`] : [])]);
    socket.binaryType = "arraybuffer";
    const pictures = new Map();
    let silent;
    const lost = () => {
      clearTimeout(silent);
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(); // which Chromium tells only after a minute where nobody answers
      this.#again("the connection was lost");
    };
    const heard = () => {
      clearTimeout(silent);
      silent = setTimeout(() => (this.on.paused() ? heard() : lost()), SILENT_MS);
    };
    socket.onopen = () => {
      heard();
      this.delay = SOONEST_MS;
      this.on.status("open");
    };
    socket.onmessage = ({ data }) => {
      heard();
      if (typeof data !== "string") {
        const picture = parsePicture(data);
        pictures.set(picture.mat, picture);
        return;
      }
      const line = JSON.parse(data);
      const picture = line.type === "pose" ? pictures.get(line.mat) ?? null : null;
      this.on.line(line, picture);
    };
    socket.onclose = lost;
  }

  #again(reason) {
    const wait = this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(2 * this.delay, LATEST_MS);
    this.on.status("waiting", reason);
    this.timer = setTimeout(() => this.#connect(), wait);
  }
}
