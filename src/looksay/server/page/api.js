// Asks the server for captions: a few requests at a time, again later if it is busy.

const AT_ONCE = 4;
const TRIES = 60; // of a busy server
let token = "";
let asking = null; // while people are asked for the token
let working = 0;
const waiting = [];

/** What the server is: its models and its limits. */
export async function facts() {
  return (await send("v1/models", {})).json();
}

/** Caption a file; throws an Error whose message is for people. */
export function caption(file, options, signal) {
  return new Promise((resolve, reject) => {
    waiting.push({ file, options, signal, resolve, reject });
    next();
  });
}

function next() {
  while (working < AT_ONCE && waiting.length) {
    const job = waiting.shift();
    working += 1;
    ask(job).then(job.resolve, job.reject).finally(() => {
      working -= 1;
      next();
    });
  }
}

async function ask({ file, options, signal }) {
  const query = new URLSearchParams({ ...options, attention: "true" });
  const body = new FormData();
  body.append("images", file, file.name || "image");
  for (let tries = 1; ; tries += 1) {
    const answer = await send(`v1/captions?${query}`, { method: "POST", body, signal });
    if (answer.status === 503 && tries < TRIES) {
      await later(Number(answer.headers.get("Retry-After")) || 1, signal);
      continue;
    }
    const said = await answer.json().catch(() => ({}));
    const image = said.images?.[0];
    if (image?.error) throw new Error(image.error);
    if (!image) throw new Error(problem(said.detail) || `the server answered ${answer.status}`);
    return image;
  }
}

async function send(path, settings) {
  for (;;) {
    const sent = token;
    const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...settings, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server cannot be reached; is it still running?");
    }
    if (answer.status !== 401) return answer;
    if (token === sent) await (asking ??= askForToken(sent).finally(() => (asking = null)));
  }
}

/** Ask people for the token, once for all requests that wait for it. */
function askForToken(wrong) {
  const dialog = document.getElementById("token");
  dialog.querySelector(".error").hidden = !wrong;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        token = dialog.querySelector("input").value;
        dialog.returnValue === "ok" ? resolve() : reject(new Error("a token is needed"));
      },
      { once: true },
    );
  });
}

function problem(detail) {
  return Array.isArray(detail) ? detail.map((each) => `${each.loc?.at(-1)}: ${each.msg}`).join("; ") : detail;
}

function later(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds * (1 + Math.random()));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("removed", "AbortError"));
    });
  });
}
