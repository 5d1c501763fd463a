// The page: images come in, cards go out.

import { caption, facts } from "./api.js";
import { Card } from "./card.js";
import { csv, jsonl, save } from "./files.js";

const find = (id) => document.getElementById(id);
const cards = new Set();
let most = Infinity; // bytes of an upload
let counting = null; // the timer of the next count
let drawing = Promise.resolve(); // thumbnails are made one after another, so that the page stays quick

/** Say something to people, beside the count of captions. */
function tell(text) {
  find("message").textContent = text;
}

function add(files) {
  const images = [...files].filter((file) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|gif|bmp|tiff?|jp2|avif)$/i.test(file.name));
  const others = files.length - images.length;
  for (const file of images) {
    const card = new Card(file, { remove, retry: run, tell });
    cards.add(card);
    find("gallery").append(card.element);
    drawing = drawing.then(() => cards.has(card) && card.thumbnail());
    run(card);
  }
  if (others) tell(`${others} ${others === 1 ? "file is" : "files are"} no image`);
}

async function run(card) {
  card.begin();
  count();
  try {
    if (card.file.size > most) throw new Error(`it has ${card.file.size.toLocaleString()} bytes; at most ${most.toLocaleString()} are taken`);
    const options = Object.fromEntries(new FormData(find("controls")));
    card.said(await caption(card.file, options, card.abort.signal), Number(options.temperature) > 0);
  } catch (error) {
    if (error.name === "AbortError") return;
    card.failed(error.message);
  }
  count();
}

function remove(card) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  drop(card);
  (next?.querySelector(".remove") ?? find("choose")).focus();
  count();
}

function drop(card) {
  cards.delete(card);
  card.gone();
}

/** Say how far it is; with many images a few times a second at most, as screen readers read it out. */
function count() {
  counting ??= setTimeout(() => {
    counting = null;
    const busy = [...cards].filter((card) => card.busy).length;
    const failed = [...cards].filter((card) => card.error).length;
    const done = cards.size - busy;
    if (busy) find("status").textContent = `${done} of ${cards.size} captioned`;
    else find("status").textContent = cards.size ? `${done - failed} captioned${failed ? `, ${failed} failed` : ""}` : "";
    for (const id of ["csv", "jsonl", "clear", "again"]) find(id).disabled = !cards.size || (busy > 0 && id !== "clear");
  }, 300);
}

find("choose").addEventListener("click", () => find("files").click());
find("photograph").addEventListener("click", () => find("camera").click());
for (const id of ["files", "camera"]) {
  find(id).addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
}
document.addEventListener("paste", (event) => add(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  add(event.dataTransfer.files);
});

for (const input of find("controls").querySelectorAll("input")) {
  const show = () => (find("controls").querySelector(`output[for=${input.id}]`).textContent = input.value);
  input.addEventListener("input", () => {
    if (input.id === "num_beams" || input.id === "num_captions") match(input.id);
    show();
  });
  show();
}

/** No more captions than the beam holds. */
function match(changed) {
  const [beam, best] = [find("num_beams"), find("num_captions")];
  if (Number(best.value) <= Number(beam.value)) return;
  const other = changed === "num_beams" ? best : beam;
  other.value = find(changed).value;
  other.dispatchEvent(new Event("input"));
}

find("again").addEventListener("click", () => cards.forEach(run));
find("clear").addEventListener("click", () => {
  [...cards].forEach(drop);
  find("choose").focus();
  count();
});
find("csv").addEventListener("click", () => save("captions.csv", "text/csv", csv(cards)));
find("jsonl").addEventListener("click", () => save("captions.jsonl", "application/jsonl", jsonl(cards)));

facts()
  .then(({ models, limits }) => {
    most = limits.bytes;
    for (const [id, value] of [["num_beams", models[0].search.num_beams], ["temperature", models[0].search.temperature]]) {
      find(id).value = value;
      find(id).dispatchEvent(new Event("input"));
    }
    find("model").textContent = `${models.map((model) => model.name).join(" + ")} says it.`;
  })
  .catch((error) => tell(error.message));
