// Captions as files, in the formats of `looksay caption`.

export function csv(cards) {
  const rows = [["image", "caption", "log_prob", "error"]];
  for (const card of cards) {
    const said = card.captions[card.chosen];
    rows.push([card.name, said?.text ?? "", said?.log_prob ?? "", card.error]);
  }
  return rows.map((row) => row.map(quoted).join(",") + "\n").join("");
}

export function jsonl(cards) {
  return [...cards]
    .map((card) => {
      const said = card.captions[card.chosen];
      const row = { image: card.name };
      Object.assign(row, said ? { caption: said.text, log_prob: said.log_prob } : { error: card.error });
      return JSON.stringify(row) + "\n";
    })
    .join("");
}

export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Quote a cell; one that begins as a formula does is kept from being one in a spreadsheet. */
function quoted(value) {
  const text = typeof value === "string" && /^[=+@\-\t]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
