// Renders openapi.json as tables.

const make = (tag, text = "", ...children) => {
  const element = Object.assign(document.createElement(tag), { textContent: text });
  element.append(...children);
  return element;
};

function table(titles, rows) {
  const head = make("thead", "", make("tr", "", ...titles.map((title) => Object.assign(make("th", title), { scope: "col" }))));
  const body = make("tbody", "", ...rows.map((cells) => make("tr", "", ...cells.map((cell) => make("td", cell)))));
  return make("table", "", head, body);
}

/** Describe the values that a schema allows. */
function values(schema) {
  if (schema.anyOf) return schema.anyOf.filter((option) => option.type !== "null").map(values).join(" or ");
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.type === "array") {
    const limit = schema.maxItems && schema.maxItems !== schema.minItems ? `, up to ${schema.maxItems}` : "";
    return (schema.items ? `list of ${values(schema.items)}` : "list") + limit;
  }
  const type = schema.type ?? "any";
  if (schema.maxLength !== undefined) return `${type} of up to ${schema.maxLength} characters`;
  const [lowest, highest] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum];
  if (lowest === undefined || highest === undefined) return type;
  return schema.exclusiveMinimum === undefined ? `${type}, ${lowest} to ${highest}` : `${type}, above ${lowest}, at most ${highest}`;
}

function fields(schema) {
  return Object.entries(schema.properties ?? {}).map(([name, field]) => [name, values(field), field.description ?? ""]);
}

function describeRoute(path, method, operation, origin) {
  const article = make("article", "", make("h2", `${method.toUpperCase()} ${path}`), make("p", operation.description ?? ""));
  if (operation.requestBody) {
    article.append(make("h3", "Request body"), make("p", Object.keys(operation.requestBody.content).join(" or ")));
    article.append(make("pre", `curl -F images=@photo.jpg -F images=@other.jpg '${origin}${path}?num_beams=5&num_captions=3'\n` +
      `curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg '${origin}${path}'`));
  }
  if (operation.parameters?.length) {
    const rows = operation.parameters.map(({ name, schema }) => [name, values(schema), schema.description ?? ""]);
    article.append(make("h3", "Query parameters"), table(["Name", "Values", "Description"], rows));
  }
  const rows = Object.entries(operation.responses).map(([status, { description, content }]) => {
    const schema = content?.["application/json"]?.schema;
    return [status, schema ? values(schema) : "", description];
  });
  article.append(make("h3", "Responses"), table(["Status", "Body", "Description"], rows));
  return article;
}

const main = document.getElementById("routes");
try {
  const { paths, components } = await (await fetch("openapi.json")).json();
  const origin = new URL(".", location.href).href.slice(0, -1);
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => describeRoute(path, method, operation, origin)),
  );
  const schemas = Object.entries(components.schemas).map(([name, schema]) =>
    make("article", "", make("h2", name), make("p", schema.description ?? ""), table(["Field", "Values", "Description"], fields(schema))),
  );
  main.replaceChildren(...routes, ...schemas);
} catch {
  main.replaceChildren(make("p", "openapi.json cannot be loaded: check that looksay serve is running."));
}
