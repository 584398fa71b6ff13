// The reference: openapi.json, readable, with a button for each route to try it.
import {Infomask} from "../infomask.js";
import {$, element} from "./format.js";

const KEY = "infomask-key";
let base = new URL(".", document.baseURI), coffee = null;

const typeOf = (schema, all) => {
  if (!schema) return "bytes";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(one, all)).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items, all)}`;
  return [].concat(schema.type ?? "object").join(" or ");
};
const range = ({minimum, maximum}) => (minimum === undefined && maximum === undefined ? "" : `${minimum ?? "…"} to ${maximum ?? "…"}`);

function table(parameters, name) {
  const rows = parameters.map((one) => element("tr", {}, element("th", {scope: "row"}, element("code", {text: one.name})), element("td", {text: `${typeOf(one.schema)}${range(one.schema) ? `, ${range(one.schema)}` : ""}`}),
    element("td", {text: one.schema.default === undefined ? "" : String(one.schema.default)}), element("td", {text: one.description ?? ""})));
  return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": `Parameters of ${name}`}, element("table", {},
    element("thead", {}, element("tr", {}, ...["parameter", "value", "default", "what it does"].map((text) => element("th", {scope: "col", text})))), element("tbody", {}, ...rows)));
}

function answers(operation) {
  const rows = Object.entries(operation.responses).filter(([status]) => status < 400).map(([status, {description, content = {}}]) =>
    element("li", {}, element("code", {text: status}), ` ${description}: ${Object.entries(content).map(([type, {schema}]) => `${type}${schema ? ` (${typeOf(schema)})` : ""}`).join(", ") || "no body"}`));
  return element("ul", {}, ...rows);
}

async function body(operation) {
  const content = operation.requestBody?.content;
  if (!content) return {};
  if (!content["multipart/form-data"]) return {body: "{}", type: "application/json"};
  if ($("file").files[0]) return {body: $("file").files[0]};
  coffee ??= await (await fetch(new URL("web/coffee.jpg", base))).blob();
  return {body: coffee};
}

async function attempt(path, method, operation, form, out) {
  const query = {}, filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(form.elements[`path-${name}`].value));
  for (const {name} of operation.parameters.filter((one) => one.in === "query")) if (form.elements[name].value) query[name] = form.elements[name].value;
  sessionStorage.setItem(KEY, $("key").value);
  const client = new Infomask(base, {key: $("key").value, retries: 0});
  out.replaceChildren(element("p", {text: "…"}));
  try {
    const accept = query.format === "png" || query.format === "jpeg" ? "*/*" : path === "/v1/filter" && query.format !== "json" ? "image/png" : "*/*";
    const answer = await client.request(method.toUpperCase(), filled.slice(1), {parameters: query, ...await body(operation)}, {accept});
    const type = answer.headers.get("Content-Type") ?? "", heads = [...answer.headers].map((pair) => pair.join(": ")).join("\n");
    const shown = type.startsWith("image/") ? element("img", {alt: "The answer", src: URL.createObjectURL(await answer.blob())})
      : element("pre", {tabindex: 0, "aria-label": "The answer", text: short(await answer.text(), type)});
    out.replaceChildren(element("pre", {tabindex: 0, "aria-label": "Header fields", text: `${answer.status}\n${heads}`}), shown);
  } catch (error) {
    out.replaceChildren(element("p", {role: "alert", text: `${error.status ?? ""} ${error.code ?? ""}: ${error.message}`}));
  }
}
// base64 and long lists would hide the rest
const short = (text, type) => (type.includes("json") ? JSON.stringify(JSON.parse(text), (_, value) =>
  (typeof value === "string" && value.length > 200 ? `${value.slice(0, 60)}… (${value.length} characters)` : Array.isArray(value) && value.length > 12 && typeof value[0] === "number"
    ? [...value.slice(0, 6), "…"] : value), 2) : text).slice(0, 20000);

function tryForm(path, method, operation, name) {
  const out = element("div", {}), captures = [...path.matchAll(/\{(\w+)\}/g)].map(([, capture]) => capture);
  const query = operation.parameters.filter((one) => one.in === "query");
  const field = (id, label, schema = {}, required = null) => {
    const words = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
    return element("label", {}, label, words ? element("select", {name: id}, element("option", {value: "", text: schema.default ?? ""}), ...words.map((word) => element("option", {text: word})))
      : element("input", {name: id, required, placeholder: schema.default ?? ""}));
  };
  const form = element("form", {onsubmit: (event) => { event.preventDefault(); attempt(path, method, operation, form, out); }},
    element("div", {class: "fields"}, ...captures.map((capture) => field(`path-${capture}`, capture, {}, true)), ...query.map((one) => field(one.name, one.name, one.schema))),
    element("div", {}, element("button", {class: "button strong", text: `Ask ${name}`})), out);
  return element("details", {}, element("summary", {text: "Try it"}), form);
}

function route(path, method, operation) {
  const query = operation.parameters.filter((one) => one.in === "query"), name = `${method.toUpperCase()} ${path}`;
  return element("section", {class: "card", id: operation.operationId, "data-name": name}, element("h3", {text: name}),
    element("p", {text: `${operation.summary}.`}), ...(operation.description ? [element("p", {class: "quiet", text: `${operation.description}.`})] : []),
    ...(query.length ? [table(query, name)] : []), answers(operation), tryForm(path, method, operation, name));
}

async function show() {
  $("key").value = sessionStorage.getItem(KEY) ?? "";
  const at = base.href.replace(/\/$/, "");
  $("examples").textContent = `curl --data-binary @photo.jpg ${at}/v1/classify\n` +
    `import {Infomask} from "${at}/infomask.js"; await new Infomask().classify(file)\n` +
    `<script type="module" src="${at}/info-mask.js"></script> <info-mask src="photo.jpg"></info-mask>`;
  const document_ = await new Infomask(base).json("GET", "openapi.json"), groups = new Map((document_.tags ?? []).map((tag) => [tag.name, {...tag, routes: []}]));
  const resolve = (one) => (one.$ref ? document_.components.parameters[one.$ref.split("/").pop()] : one);
  for (const [path, methods] of Object.entries(document_.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "routes";
      if (!groups.has(tag)) groups.set(tag, {name: tag, routes: []});
      groups.get(tag).routes.push(route(path, method, {...operation, parameters: (operation.parameters ?? []).map(resolve)}));
    }
  const shown = [...groups.values()].filter((group) => group.routes.length);
  $("contents").replaceChildren(...shown.flatMap((group) => [element("b", {text: group.name}), element("ul", {}, ...group.routes.map((one) =>
    element("li", {}, element("a", {href: `#${one.id}`, text: one.dataset.name}))))]));
  $("routes").replaceChildren(...shown.flatMap((group) => [
    element("h2", {text: group.name}), ...(group.description ? [element("p", {text: group.description})] : []), ...group.routes]));
}
show().catch((error) => { $("problem").textContent = error.message; });
