// Captions as files, in the formats of `looksay caption`.

export function toCsv(cards) {
  const rows = [["image", "caption", "confidence", "log_prob", "error"]];
  for (const card of cards) {
    const caption = card.captions[card.selected];
    rows.push([card.name, caption?.text ?? "", caption?.confidence ?? "", caption?.log_prob ?? "", card.error]);
  }
  return rows.map((row) => row.map(quote).join(",") + "\n").join("");
}

export function toJsonl(cards) {
  return [...cards]
    .map((card) => {
      const caption = card.captions[card.selected];
      const { text, confidence, log_prob } = caption ?? {};
      const result = caption ? { caption: text, confidence, log_prob } : { error: card.error };
      return JSON.stringify({ image: card.name, ...result }) + "\n";
    })
    .join("");
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Quote a cell; an apostrophe before the start of a formula keeps spreadsheets from computing it. */
function quote(value) {
  const text = typeof value === "string" && /^[=+@\-\t]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
