// One image in the gallery: its thumbnail, its captions, and where the model looked.

const WIDTH = 480; // pixels of a thumbnail: originals would fill the memory of a gallery of hundreds
const DARKEST = 0.8;
const template = document.getElementById("card");

export class Card {
  /** A card for a file; `actions` has remove(card), retry(card) and tell(text). */
  constructor(file, actions) {
    this.file = file;
    this.name = file.name || "pasted image";
    this.captions = [];
    this.error = "";
    this.chosen = 0;
    this.abort = new AbortController();
    this.element = template.content.firstElementChild.cloneNode(true);
    this.find(".name").textContent = this.name;
    this.find(".name").title = this.name;
    this.on(".copy", () => copy(this.text, "Caption copied", actions.tell));
    this.on(".alt", () => copy(this.alt, "Alt text copied", actions.tell));
    this.on(".retry", () => actions.retry(this));
    this.on(".remove", () => actions.remove(this));
    this.find(".remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.find(".caption").addEventListener("keydown", (event) => this.move(event));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  on(selector, action) {
    this.find(selector).addEventListener("click", action);
  }

  get text() {
    return this.captions[this.chosen]?.text ?? "";
  }

  /** The caption as a sentence in an HTML attribute. */
  get alt() {
    const sentence = this.text.charAt(0).toUpperCase() + this.text.slice(1) + ".";
    return `alt="${sentence.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"`;
  }

  get busy() {
    return this.element.getAttribute("aria-busy") === "true";
  }

  async thumbnail() {
    const image = this.find("img");
    try {
      const image = await createImageBitmap(this.file, { resizeWidth: WIDTH, resizeQuality: "medium" });
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.width, image.height];
      canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
      const small = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.8));
      if (!this.abort.signal.aborted) image.src = URL.createObjectURL(small);
    } catch {
      image.remove(); // a format that the browser does not show; the server may read it all the same
    }
  }

  begin() {
    this.element.setAttribute("aria-busy", "true");
    this.error = "";
    this.captions = [];
    for (const part of [".error", ".copy", ".alt", ".retry"]) this.find(part).hidden = true;
    this.find(".caption").replaceChildren();
    this.find(".others").replaceChildren();
    this.find(".tags").hidden = true;
    if (this.find("img")) this.find("img").alt = "";
    this.hide();
  }

  /** Show captions; those that were `drawn` at random have no share of a probability. */
  said(image, drawn) {
    this.element.setAttribute("aria-busy", "false");
    this.captions = image.captions;
    this.drawn = drawn;
    this.find(".copy").hidden = this.find(".alt").hidden = false;
    this.choose(0);
  }

  failed(message) {
    this.element.setAttribute("aria-busy", "false");
    this.error = message;
    this.find(".error").textContent = `No caption: ${message}`;
    this.find(".error").hidden = this.find(".retry").hidden = false;
  }

  /** Show one of the captions, and the words to point at. */
  choose(place) {
    this.chosen = place;
    const { text, words, attention, tags } = this.captions[place];
    const looks = attention && new Set(attention[0]?.flat()).size > 1; // else the model looks everywhere alike
    const buttons = words.map((word, at) => this.word(word, at, looks ? attention[at] : null));
    this.find(".caption").replaceChildren(...buttons.flatMap((button) => [button, " "]));
    if (this.find("img")) this.find("img").alt = text;
    this.hide();
    this.recognised(tags);
    this.list();
  }

  /** What the CNN recognises, and which of it the caption does not name. */
  recognised(tags) {
    const items = tags.map(({ noun, probability, said }) => {
      const item = document.createElement("li");
      item.textContent = `${noun} ${Math.round(100 * probability)} %${said ? "" : ", not said"}`;
      item.className = said ? "said" : "";
      return item;
    });
    this.find(".tags").replaceChildren(...items);
    this.find(".tags").hidden = !items.length;
  }

  word(word, at, map) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "word";
    button.textContent = word;
    button.tabIndex = at ? -1 : 0;
    if (!map) return button;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `${word}: looked ${place(map)}`);
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.look(map));
    button.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.restore());
    button.addEventListener("focus", () => button.matches(":focus-visible") && this.look(map));
    button.addEventListener("blur", () => this.restore());
    button.addEventListener("click", () => this.pin(button, map));
    return button;
  }

  /** Keep a word's map, or let it go. */
  pin(button, map) {
    const pinned = button.getAttribute("aria-pressed") === "true";
    this.hide();
    if (pinned) return;
    button.setAttribute("aria-pressed", "true");
    this.pinned = map;
    this.look(map);
  }

  look(map) {
    const canvas = this.find("canvas");
    [canvas.height, canvas.width] = [map.length, map[0].length];
    const strongest = Math.max(...map.flat());
    const context = canvas.getContext("2d");
    map.forEach((row, y) =>
      row.forEach((value, x) => {
        context.fillStyle = `rgba(0, 0, 0, ${DARKEST * (1 - value / strongest)})`;
        context.fillRect(x, y, 1, 1);
      }),
    );
    canvas.classList.add("shown");
  }

  restore() {
    if (this.pinned) this.look(this.pinned);
    else this.find("canvas").classList.remove("shown");
  }

  hide() {
    this.pinned = null;
    for (const word of this.element.querySelectorAll('.word[aria-pressed="true"]')) word.setAttribute("aria-pressed", "false");
    this.restore();
  }

  /** Arrow keys go from word to word. */
  move(event) {
    const words = [...this.element.querySelectorAll(".word")];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = words[words.indexOf(event.target) + step];
    if (!step || !next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** All captions with their share of the probability that they have together. */
  list() {
    if (this.captions.length < 2) return;
    const likely = this.captions.map((caption) => Math.exp(caption.log_prob - this.captions[0].log_prob));
    const all = likely.reduce((sum, each) => sum + each);
    this.find(".others").replaceChildren(
      ...this.captions.map((caption, at) => {
        const share = likely[at] / all;
        const percent = `${Math.round(100 * share)} %`;
        const button = document.createElement("button");
        button.type = "button";
        button.className = "other";
        button.title = `log-probability ${caption.log_prob}`;
        button.setAttribute("aria-pressed", String(at === this.chosen));
        const text = Object.assign(document.createElement("span"), { textContent: caption.text });
        const figure = Object.assign(document.createElement("span"), { textContent: percent, className: "share" });
        const meter = Object.assign(document.createElement("meter"), { max: 1, value: share, ariaHidden: "true" });
        button.append(text, ...(this.drawn ? [] : [figure, meter]));
        button.addEventListener("click", () => {
          this.choose(at);
          this.element.querySelectorAll(".other")[at].focus();
        });
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
  }

  gone() {
    this.abort.abort();
    URL.revokeObjectURL(this.find("img")?.src ?? "");
    this.element.remove();
  }
}

/** Where a map is strongest, in words. */
function place(map) {
  const flat = map.flat();
  const at = flat.indexOf(Math.max(...flat));
  const [row, column] = [Math.floor(at / map[0].length) / map.length, (at % map[0].length) / map[0].length];
  const vertical = ["top", "middle", "bottom"][Math.floor(row * 3)];
  const horizontal = ["left", "centre", "right"][Math.floor(column * 3)];
  return `most at the ${vertical} ${horizontal}`;
}

async function copy(text, done, tell) {
  try {
    await navigator.clipboard.writeText(text);
    tell(`${done}: ${text}`);
  } catch {
    tell(`This browser does not let pages copy. Here it is: ${text}`);
  }
}
