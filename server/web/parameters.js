// Every parameter of /v1/filter and /v1/analyze, made from the service's own description: what it takes is what is shown.
import {$, element} from "./format.js";

const ELSEWHERE = ["target", "units", "format", "include", "output", "colormap", "opacity", "top_k", "abstain_below", "edge"];
const FIRST = ["model", "fill", "mode", "quality", "threshold", "shadow", "dilate", "feather", "trim", "until", "max_area", "prior", "method"];

/** What comes after the map: classes and map stay as they are. */
export const AFTERWARDS = ["fill", "fill_seed", "mode", "dilate", "feather", "trim", "until", "max_passes", "max_area"];

/** An own mask is used as it is: what makes masks is refused beside it. */
export function onlyWithMask(asked) {
  const makes = ["quality", "threshold", "refine", "min_evidence", "until", "max_passes", "shadow", "resolution", "method"];
  return Object.fromEntries(Object.entries(asked).filter(([name]) => !makes.includes(name)));
}

export class Parameters {
  #routes = null;   // route -> name -> schema
  values = {};      // only what is not left to the service

  async load(client) {
    if (this.#routes) return;
    const document = await client.json("GET", "openapi.json");
    const of = (route) => new Map(document.paths[`/v1/${route}`].post.parameters.filter((one) => one.in === "query").map((one) => [one.name, one]));
    this.#routes = {filter: of("filter"), analyze: of("analyze"), mask: of("mask")};
  }

  /** Choices less what the page decides by itself: numbers in bits would be called nats. */
  known(choices) { return Object.fromEntries(Object.entries(choices).filter(([name]) => !ELSEWHERE.includes(name))); }

  /** What a route takes of the choices. */
  for(route) {
    const takes = this.#routes?.[route];
    return Object.fromEntries(Object.entries(this.values).filter(([name]) => !takes || takes.has(name)));
  }

  /** The form; changed() after each choice. */
  show(models, changed) {
    const all = new Map([...this.#routes.filter, ...this.#routes.analyze]);
    const rank = (name) => (FIRST.indexOf(name) + 1 || 99);
    const names = [...all.keys()].filter((name) => !ELSEWHERE.includes(name)).sort((a, b) => rank(a) - rank(b));
    $("parameters").replaceChildren(...names.map((name) => this.#field(all.get(name), models, changed)));
  }

  #field({name, description, schema}, models, changed) {
    const words = name === "model" ? models : schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : this.#wordsOf(schema.pattern));
    const number = schema.type === "integer" || schema.type === "number";
    const shown = schema.default === undefined ? "default" : String(schema.default), id = `parameter-${name}`;
    const attributes = {id, name, title: description, "aria-describedby": `${id}-says`};
    const field = words && !schema.pattern?.includes("#") && !schema.pattern?.includes("[0-9")
      ? element("select", attributes, element("option", {value: "", text: shown}), ...words.filter((word) => word !== shown).map((word) => element("option", {value: word, text: word})))
      : element("input", {...attributes, type: number ? "number" : "text", step: schema.type === "integer" ? 1 : "any", min: schema.minimum, max: schema.maximum, placeholder: shown,
        list: words ? `${id}-words` : null});
    field.value = this.values[name] ?? "";
    field.addEventListener("change", () => {
      if (field.value === "") delete this.values[name]; else this.values[name] = field.value;
      if (field.checkValidity()) changed(name); else field.reportValidity();
    });
    const parts = [name.replaceAll("_", " "), field];
    if (field.list !== undefined && words) parts.push(element("datalist", {id: `${id}-words`}, ...words.map((word) => element("option", {value: word}))));
    return element("div", {}, element("label", {}, ...parts), element("small", {id: `${id}-says`, text: description ?? ""}));
  }

  // the words of a pattern ^(a|b|#[0-9a-f]{6})$
  #wordsOf(pattern) {
    const words = pattern?.match(/^\^\((.*)\)\$$/)?.[1].split("|").filter((word) => /^[a-z]+$/.test(word));
    return words?.length ? words : null;
  }
}
