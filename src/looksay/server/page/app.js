// The page: adds a card for each image and shows the progress.

import { caption, getModels } from "./api.js";
import { Card } from "./card.js";
import { download, toCsv, toJsonl } from "./files.js";

const byId = (id) => document.getElementById(id);
const IMAGE_ENDINGS = /\.(jpe?g?|jfif|mpo|png|apng|webp|gif|bmp|tiff?|jp2|avif|hei[cf])$/i; // of files without a type
const cards = new Set();
let lengthPenalty = 1;
let maxBytes = Infinity; // of an upload
let statusTimer = null;
let thumbnails = Promise.resolve(); // made one after another, so that the page stays responsive

/** Show a message beside the progress. */
function notify(text) {
  byId("message").textContent = text;
}

function addFiles(files) {
  const refused = [];
  for (const file of files) {
    if (!file.type.startsWith("image/") && !IMAGE_ENDINGS.test(file.name)) {
      refused.push(`${file.name} is ${file.type || "of an unknown type"}`);
      continue;
    }
    const card = new Card(file, { remove: removeCard, retry: captionCard, notify });
    cards.add(card);
    byId("gallery").append(card.element);
    thumbnails = thumbnails.then(() => cards.has(card) && card.showThumbnail());
    captionCard(card);
  }
  if (refused.length) notify(`Not captioned, because they are not images: ${refused.join("; ")}`);
}

async function captionCard(card) {
  card.showProgress();
  updateStatus();
  try {
    if (card.file.size > maxBytes) throw new Error(`the file has ${card.file.size.toLocaleString()} bytes: the server accepts at most ${maxBytes.toLocaleString()}`);
    const options = Object.fromEntries(new FormData(byId("controls")));
    card.showCaptions(await caption(card.file, options, card.abort.signal), Number(options.temperature) > 0, lengthPenalty);
  } catch (error) {
    if (error.name === "AbortError") return;
    card.showError(error.message);
  }
  updateStatus();
}

function removeCard(card) {
  const neighbour = card.element.nextElementSibling ?? card.element.previousElementSibling;
  deleteCard(card);
  (neighbour?.querySelector(".remove") ?? byId("choose")).focus();
  updateStatus();
}

function deleteCard(card) {
  cards.delete(card);
  card.destroy();
}

/** Show the progress, at most a few times a second, because screen readers read each change. */
function updateStatus() {
  statusTimer ??= setTimeout(() => {
    statusTimer = null;
    const busy = [...cards].filter((card) => card.busy).length;
    const failed = [...cards].filter((card) => card.error).length;
    const done = cards.size - busy;
    if (busy) byId("status").textContent = `${done} of ${cards.size} captioned`;
    else byId("status").textContent = cards.size ? `${done - failed} captioned${failed ? `, ${failed} failed` : ""}` : "";
    for (const id of ["csv", "jsonl", "clear", "again"]) byId(id).disabled = !cards.size || (busy > 0 && id !== "clear");
  }, 300);
}

byId("choose").addEventListener("click", () => byId("files").click());
byId("photograph").addEventListener("click", () => byId("camera").click());
for (const id of ["files", "camera"]) {
  byId(id).addEventListener("change", (event) => {
    addFiles(event.target.files);
    event.target.value = "";
  });
}
document.addEventListener("paste", (event) => addFiles(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  addFiles(event.dataTransfer.files);
});

for (const input of byId("controls").querySelectorAll("input")) {
  const showValue = () => (byId("controls").querySelector(`output[for=${input.id}]`).textContent = input.value);
  input.addEventListener("input", showValue);
  showValue();
}

byId("again").addEventListener("click", () => cards.forEach(captionCard));
byId("clear").addEventListener("click", () => {
  [...cards].forEach(deleteCard);
  byId("choose").focus();
  updateStatus();
});
byId("csv").addEventListener("click", () => download("captions.csv", "text/csv", toCsv(cards)));
byId("jsonl").addEventListener("click", () => download("captions.jsonl", "application/jsonl", toJsonl(cards)));

getModels()
  .then(({ models, limits }) => {
    maxBytes = limits.max_bytes;
    lengthPenalty = models[0].decoding.length_penalty;
    for (const id of ["num_beams", "temperature"]) {
      byId(id).value = models[0].decoding[id];
      byId(id).dispatchEvent(new Event("input"));
    }
    byId("model").textContent = `Model: ${models.map((model) => model.name).join(" + ")}.`;
  })
  .catch((error) => notify(error.message));
