// Numbers as they are said, and elements in one call.
export const $ = (id) => document.getElementById(id);

/** An element. props: attributes ("text", "onclick", ... are properties). */
export function element(tag, props = {}, ...children) {
  const made = tag === "svg" || props.svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || name === "svg") continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// By hand, as Intl takes longer to be made than the page to be drawn: 1,234.50; -0.001 is 0.00, without a sign.
function fixed(value, digits) {
  const [whole, rest] = Math.abs(value).toFixed(digits).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? `.${rest}` : "");
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}
export const nats = (value) => (value === null || value === undefined || !Number.isFinite(value) ? "–" : fixed(value, 2));
export const bits = (value) => fixed(value / Math.LN2, 1);

/** 0.951 -> "95.1 %", 0.00003 -> "0.003 %", in one piece where a line is broken. */
export function percent(share) {
  const value = 100 * share;
  if (value > 99.95 && value < 100) return "over 99.9\u00a0%";
  if (value === 0 || value >= 10) return `${fixed(value, value >= 99.95 || value === 0 ? 0 : 1)}\u00a0%`;
  return `${Number(value.toPrecision(2)).toFixed(12).replace(/\.?0+$/, "")}\u00a0%`;
}

/** 951.3 -> "951", 3.25 -> "3.3". */
export const times = (value) => (value < 9.95 ? fixed(value, 1) : value < 1e6 ? fixed(value, 0) : value.toExponential(1));

/** The same with as many digits as its logarithm needs to be right to two places. */
export const figure = (value) => (value >= 1e9 ? value.toExponential(2) : fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0));

/** A probability as a chance in so many. */
export const oneIn = (p) => (1 / p < 1.05 ? "always" : `1 time in ${times(1 / p).replace(/\.0$/, "")}`);

/** A remark of the service as a sentence of its own; a file's name at its beginning stays as it is. */
export const sentence = (text) => text.replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1)).replace(/[^.!?…]$/, "$&.");

/** A name that file systems like. */
export const fileName = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "photo";

export function save(blob, name) {
  const link = element("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
