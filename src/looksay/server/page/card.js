// A card of the gallery: an image, its captions and its attention maps.

const THUMBNAIL_WIDTH = 480; // pixels; hundreds of originals would fill the memory
const MAX_SHADE = 0.8; // opacity where attention is zero
const template = document.getElementById("card");

export class Card {
  /** Create a card for a file; `actions` has remove(card), retry(card) and notify(text). */
  constructor(file, actions) {
    this.file = file;
    this.name = file.name || "pasted image";
    this.captions = [];
    this.error = "";
    this.selected = 0;
    this.abort = new AbortController();
    this.element = template.content.firstElementChild.cloneNode(true);
    this.find(".name").textContent = this.name;
    this.find(".name").title = this.name;
    this.onClick(".copy", () => copy(this.text, "Caption copied", actions.notify));
    this.onClick(".alt", () => copy(this.alt, "Alt text copied", actions.notify));
    this.onClick(".retry", () => actions.retry(this));
    this.onClick(".remove", () => actions.remove(this));
    this.find(".remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.find(".caption").addEventListener("keydown", (event) => this.moveFocus(event));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  onClick(selector, action) {
    this.find(selector).addEventListener("click", action);
  }

  get text() {
    return this.captions[this.selected]?.text ?? "";
  }

  /** The caption as a sentence in an HTML attribute. */
  get alt() {
    const sentence = this.text.charAt(0).toUpperCase() + this.text.slice(1) + ".";
    return `alt="${sentence.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"`;
  }

  get busy() {
    return this.element.getAttribute("aria-busy") === "true";
  }

  async showThumbnail() {
    const image = this.find("img");
    try {
      const bitmap = await createImageBitmap(this.file, { resizeWidth: THUMBNAIL_WIDTH, resizeQuality: "medium" });
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
      const thumbnail = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.8));
      if (!this.abort.signal.aborted) image.src = URL.createObjectURL(thumbnail);
    } catch {
      image.remove(); // the browser cannot show this format; the server may still read it
    }
  }

  showProgress() {
    this.element.setAttribute("aria-busy", "true");
    this.error = "";
    this.captions = [];
    for (const part of [".error", ".copy", ".alt", ".retry"]) this.find(part).hidden = true;
    this.find(".caption").replaceChildren();
    this.find(".others").replaceChildren();
    this.find(".tags").hidden = this.find(".confidence").hidden = true;
    if (this.find("img")) this.find("img").alt = "";
    this.unpin();
  }

  /** Show captions; `sampled` ones are not ranked and have no score. */
  showCaptions(image, sampled, lengthPenalty) {
    this.element.setAttribute("aria-busy", "false");
    this.captions = image.captions;
    this.scores = sampled ? [] : image.captions.map((caption) => score(caption, lengthPenalty));
    this.find(".copy").hidden = this.find(".alt").hidden = false;
    this.select(0);
  }

  showError(message) {
    this.element.setAttribute("aria-busy", "false");
    this.error = message;
    this.find(".error").textContent = `No caption: ${message}`;
    this.find(".error").hidden = this.find(".retry").hidden = false;
  }

  /** Show one of the captions, with a button for each token. */
  select(index) {
    this.selected = index;
    const { text, tokens, attention, confidence, tags } = this.captions[index];
    const hasMaps = attention && new Set(attention[0]?.flat()).size > 1; // uniform maps come from models without attention
    const buttons = tokens.map((token, position) => this.tokenButton(token, position, hasMaps ? attention[position] : null));
    const caption = this.find(".caption");
    caption.replaceChildren(...buttons.flatMap((button) => [button, " "]));
    caption.dir = "auto"; // in the template, Chromium would apply it to the empty paragraph alone
    if (this.find("img")) this.find("img").alt = text;
    this.unpin();
    this.find(".confidence").textContent = `right with a probability of ${Math.round(100 * confidence)} %`;
    this.find(".confidence").hidden = typeof confidence !== "number"; // not every model has one
    this.showTags(tags);
    this.showAlternatives();
  }

  /** List the recognised objects, and mark those that the caption mentions. */
  showTags(tags) {
    const items = tags.map(({ name, probability, in_caption }) => {
      const item = document.createElement("li");
      item.textContent = `${name} ${Math.round(100 * probability)} %${in_caption ? "" : ", not in the caption"}`;
      item.className = in_caption ? "in-caption" : "";
      return item;
    });
    this.find(".tags").replaceChildren(...items);
    this.find(".tags").hidden = !items.length;
  }

  tokenButton(token, position, map) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "token";
    button.textContent = token;
    button.tabIndex = position ? -1 : 0;
    if (!map) return button;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `${token}: attention ${describeMaximum(map)}`);
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.showMap(map));
    button.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.restoreMap());
    button.addEventListener("focus", () => button.matches(":focus-visible") && this.showMap(map));
    button.addEventListener("blur", () => this.restoreMap());
    button.addEventListener("click", () => this.togglePin(button, map));
    return button;
  }

  /** Keep the attention map of a token on the image, or remove it. */
  togglePin(button, map) {
    const isPinned = button.getAttribute("aria-pressed") === "true";
    this.unpin();
    if (isPinned) return;
    button.setAttribute("aria-pressed", "true");
    this.pinnedMap = map;
    this.showMap(map);
  }

  showMap(map) {
    const canvas = this.find("canvas");
    [canvas.height, canvas.width] = [map.length, map[0].length];
    const maximum = Math.max(...map.flat());
    const context = canvas.getContext("2d");
    map.forEach((row, y) =>
      row.forEach((value, x) => {
        context.fillStyle = `rgba(0, 0, 0, ${MAX_SHADE * (1 - value / maximum)})`;
        context.fillRect(x, y, 1, 1);
      }),
    );
    canvas.classList.add("shown");
  }

  restoreMap() {
    if (this.pinnedMap) this.showMap(this.pinnedMap);
    else this.find("canvas").classList.remove("shown");
  }

  unpin() {
    this.pinnedMap = null;
    for (const button of this.element.querySelectorAll('.token[aria-pressed="true"]')) button.setAttribute("aria-pressed", "false");
    this.restoreMap();
  }

  /** Move the focus to the next or previous token with the arrow keys. */
  moveFocus(event) {
    const buttons = [...this.element.querySelectorAll(".token")];
    const ahead = getComputedStyle(this.find(".caption")).direction === "rtl" ? -1 : 1;
    const step = { ArrowRight: ahead, ArrowLeft: -ahead }[event.key];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (!step || !next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** List all captions, each with the mean probability of its words. */
  showAlternatives() {
    if (this.captions.length < 2) return;
    this.find(".others").replaceChildren(
      ...this.captions.map((caption, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "other";
        button.dir = "auto";
        button.setAttribute("aria-pressed", String(index === this.selected));
        button.append(Object.assign(document.createElement("span"), { textContent: caption.text }));
        if (this.scores.length) {
          const value = this.scores[index];
          button.title = `mean probability of a word; the log-probability of the caption is ${caption.log_prob}`;
          button.append(
            Object.assign(document.createElement("span"), { textContent: `${(100 * value).toFixed(1)} %`, className: "score" }),
            Object.assign(document.createElement("meter"), { max: 1, value, ariaHidden: "true" }),
          );
        }
        button.addEventListener("click", () => {
          this.select(index);
          this.element.querySelectorAll(".other")[index].focus();
        });
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
  }

  destroy() {
    this.abort.abort();
    URL.revokeObjectURL(this.find("img")?.src ?? "");
    this.element.remove();
  }
}

/** The score of a caption without its confidence, as a probability: with a length penalty of 1, the geometric mean over all tokens. */
function score({ tokens, log_prob }, lengthPenalty) {
  return Math.exp(log_prob / (tokens.length + 1) ** lengthPenalty);
}

/** Describe where an attention map has its maximum. */
function describeMaximum(map) {
  const values = map.flat();
  const index = values.indexOf(Math.max(...values));
  const [row, column] = [Math.floor(index / map[0].length) / map.length, (index % map[0].length) / map[0].length];
  const vertical = ["top", "middle", "bottom"][Math.floor(row * 3)];
  const horizontal = ["left", "centre", "right"][Math.floor(column * 3)];
  return `mostly at the ${vertical} ${horizontal}`;
}

async function copy(text, message, notify) {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${message}: ${text}`);
  } catch {
    notify(`This browser does not allow copying. The text is: ${text}`);
  }
}
