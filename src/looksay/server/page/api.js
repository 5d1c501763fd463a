// Requests to the server: a few at a time, repeated while it is busy.

const MAX_REQUESTS = 4;
const MAX_ATTEMPTS = 60; // while the server is busy
let token = "";
let tokenPrompt = null; // the promise of the token dialog while it is open
let running = 0;
const waiting = [];

/** Get the models and the limits of the server. */
export async function getModels() {
  return (await send("v1/models", {})).json();
}

/** Generate captions for a file; throws an Error whose message can be shown. */
export function caption(file, options, signal) {
  return new Promise((resolve, reject) => {
    waiting.push({ file, options, signal, resolve, reject });
    startRequests();
  });
}

function startRequests() {
  while (running < MAX_REQUESTS && waiting.length) {
    const job = waiting.shift();
    running += 1;
    request(job).then(job.resolve, job.reject).finally(() => {
      running -= 1;
      startRequests();
    });
  }
}

async function request({ file, options, signal }) {
  const query = new URLSearchParams({ ...options, attention: "true" });
  const body = new FormData();
  body.append("images", file, file.name || "image");
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(`v1/captions?${query}`, { method: "POST", body, signal });
    if (response.status === 503 && attempt < MAX_ATTEMPTS) {
      await wait(Number(response.headers.get("Retry-After")) || 1, signal);
      continue;
    }
    const { images, detail } = await response.json().catch(() => ({}));
    const image = images?.[0];
    if (image?.error) throw new Error(image.error);
    if (!image) throw new Error(detail || `the server answered with status ${response.status}`);
    return image;
  }
}

async function send(path, settings) {
  for (;;) {
    const sentToken = token;
    const headers = sentToken ? { Authorization: `Bearer ${sentToken}` } : {};
    let response;
    try {
      response = await fetch(path, { ...settings, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server cannot be reached: check that looksay serve is running");
    }
    if (response.status !== 401) return response;
    if (token === sentToken) await (tokenPrompt ??= promptForToken(sentToken).finally(() => (tokenPrompt = null)));
  }
}

/** Open the token dialog, once for all requests that need the token. */
function promptForToken(wrongToken) {
  const dialog = document.getElementById("token");
  dialog.querySelector(".error").hidden = !wrongToken;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        token = dialog.querySelector("input").value;
        dialog.returnValue === "ok" ? resolve() : reject(new Error("the server requires a token"));
      },
      { once: true },
    );
  });
}

function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds * (1 + Math.random()));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("removed", "AbortError"));
    });
  });
}
