// Shows openapi.json to people.

const make = (tag, text = "", ...children) => {
  const element = Object.assign(document.createElement(tag), { textContent: text });
  element.append(...children);
  return element;
};

function table(heads, rows) {
  const head = make("thead", "", make("tr", "", ...heads.map((text) => Object.assign(make("th", text), { scope: "col" }))));
  const body = make("tbody", "", ...rows.map((cells) => make("tr", "", ...cells.map((text) => make("td", text)))));
  return make("table", "", head, body);
}

/** What values a schema takes, in words. */
function values(schema) {
  if (schema.anyOf) return schema.anyOf.filter((each) => each.type !== "null").map(values).join(" or ");
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.type === "array") return schema.items ? `list of ${values(schema.items)}` : "list";
  const [least, most] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.maxLength];
  const range = least !== undefined && most !== undefined ? `, ${least} to ${most}` : most !== undefined ? `, up to ${most} characters` : "";
  return `${schema.type ?? "anything"}${range}`;
}

function fields(schema) {
  return Object.entries(schema.properties ?? {}).map(([name, each]) => [name, values(each), each.description ?? ""]);
}

function route(path, method, facts, origin) {
  const article = make("article", "", make("h2", `${method.toUpperCase()} ${path}`), make("p", facts.description ?? ""));
  if (facts.requestBody) {
    article.append(make("h3", "Send"), make("p", Object.keys(facts.requestBody.content).join(", or ")));
    article.append(make("pre", `curl -F images=@photo.jpg -F images=@other.jpg '${origin}${path}?num_beams=5&num_captions=3'\n` +
      `curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg '${origin}${path}'`));
  }
  if (facts.parameters?.length) {
    const rows = facts.parameters.map(({ name, schema }) => [name, values(schema), schema.description ?? ""]);
    article.append(make("h3", "Query"), table(["name", "values", ""], rows));
  }
  const rows = Object.entries(facts.responses).map(([status, { description, content }]) => {
    const kind = content?.["application/json"]?.schema;
    return [status, kind ? values(kind) : "", description];
  });
  article.append(make("h3", "Answers"), table(["status", "body", ""], rows));
  return article;
}

const main = document.getElementById("routes");
try {
  const { paths, components } = await (await fetch("openapi.json")).json();
  const origin = location.href.replace(/\/docs.*$/, "");
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, facts]) => route(path, method, facts, origin)),
  );
  const schemas = Object.entries(components.schemas)
    .filter(([name]) => !name.includes("Validation"))
    .map(([name, schema]) =>
      make("article", "", make("h2", name), make("p", schema.description ?? ""), table(["field", "values", ""], fields(schema))),
    );
  main.replaceChildren(...routes, ...schemas);
} catch {
  main.replaceChildren(make("p", "The description of the API cannot be had; is the server still running?"));
}
