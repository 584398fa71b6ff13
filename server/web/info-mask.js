// <info-mask src="photo.jpg" server="https://photos.example/" target="espresso">: a photo, what in it speaks for a class,
// square by square, and the photo without it behind a slider.
//
// Attributes: src, server (default: where this file came from), target (default: the best class), api-key,
// view (map, outline or photo).  Without src a page hands in what it has: photo, setMap, setMask, after.
// Events, all bubbling: infomask-answer {analysis, filtered}, infomask-square {row, column, value, share},
// infomask-stroke, infomask-error {error}.  Colours from outside: --infomask-accent, --infomask-radius.
import {Infomask, blobOf} from "./infomask.js";

const FINE = 8;        // points of the drawn map per square and side
const FADE_MS = 220;
const STOPS = [[0, 96, 40, 130, 0], [.3, 160, 45, 130, .5], [.65, 236, 96, 62, .72], [1, 255, 206, 98, .86]];
const AGAINST = [40, 132, 255];

/** Colour of a value: t from -1 (speaks against, blue) over 0 (nothing) to 1 (speaks for). @returns red, green, blue, alpha */
export function colorOf(t) {
  if (t < 0) return [...AGAINST, .8 * Math.min(1, -t)];
  const at = Math.min(1, t), i = Math.max(1, STOPS.findIndex((stop) => at <= stop[0]));
  const [a, b] = [STOPS[i - 1], STOPS[i]], f = (at - a[0]) / (b[0] - a[0]);
  return [1, 2, 3, 4].map((k) => a[k] + f * (b[k] - a[k]));
}

// the colours of 1025 values from -1 to 1 as pixels of an ImageData, so that a frame of a cross-fade takes no time
let pixelsOf = null;
function palette() {
  if (pixelsOf) return pixelsOf;
  const bytes = new Uint8ClampedArray(4 * 1025);
  for (let i = 0; i <= 1024; i++) {
    const [r, g, b, a] = colorOf(i / 512 - 1);
    bytes.set([r, g, b, 255 * a], 4 * i);
  }
  return pixelsOf = new Uint32Array(bytes.buffer);
}

/** Largest size of a value: both directions share one scale, so that equal colours are equal nats. */
export const scaleOf = (cells) => Math.max(1e-9, ...cells.flat().map(Math.abs));

/** The level of the fewest cells that hold `share` of the positive information; Infinity: none. */
export function levelOf(cells, share) {
  const positive = cells.flat().filter((value) => value > 0).sort((a, b) => b - a);
  const wanted = share * positive.reduce((sum, value) => sum + value, 0);
  let sum = 0;
  for (const value of positive) if ((sum += value) >= wanted * (1 - 1e-12)) return value;
  return Infinity;
}

/** A name within a sentence, isolated where it is written from right to left: what comes after it stays after it. */
export const said = (label) => (/[\u0590-\u08ff\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/.test(label) ? `\u2068${label}\u2069` : label);

/** The filtered photo in a word: what failed does not say that it is without it. */
export function behind(name, {verification}, mode = "remove") {
  const label = said(name);
  if (mode !== "remove" && mode !== undefined) return `only ${label}`;
  const {verdict, area} = [].concat(verification)[0];
  if (area === 0 || !verdict) return area === 0 ? "nothing taken away" : "painted over";
  return verdict === "removed" ? `without ${label}` : verdict === "failed" ? `${label}: not gone` : `${label}: not all gone`;
}

// Catmull-Rom between the squares' middles, along one direction of a row-major array.
function stretch(values, rows, columns) {
  const out = new Float32Array(rows * columns * FINE);
  for (let x = 0; x < columns * FINE; x++) {
    const at = (x + .5) / FINE - .5, base = Math.floor(at), f = at - base;
    const w = [f * (-.5 + f * (1 - .5 * f)), 1 + f * f * (-2.5 + 1.5 * f), f * (.5 + f * (2 - 1.5 * f)), f * f * (-.5 + .5 * f)];
    const from = [-1, 0, 1, 2].map((k) => Math.min(columns - 1, Math.max(0, base + k)));
    for (let y = 0, row = 0; y < rows; y++, row += columns)
      out[row * FINE + x] = w[0] * values[row + from[0]] + w[1] * values[row + from[1]] + w[2] * values[row + from[2]] + w[3] * values[row + from[3]];
  }
  return out;
}
function turn(values, rows, columns) {
  const out = new Float32Array(values.length);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) out[x * rows + y] = values[y * columns + x];
  return out;
}

/** The squares as a smooth field of FINE x FINE points each. */
function fieldOf(cells) {
  const rows = cells.length, columns = cells[0].length, wide = columns * FINE;
  const across = stretch(Float32Array.from(cells.flat()), rows, columns);
  return {rows: rows * FINE, columns: wide, values: turn(stretch(turn(across, rows, wide), wide, rows), wide, rows * FINE)};
}

/** Line segments x0, y0, x1, y1 in 0..1 where the field crosses the level (marching squares; beyond the border is below). */
function contour({rows, columns, values}, level) {
  const lines = [], at = (x, y) => (x < 0 || y < 0 || x >= columns || y >= rows ? -1e30 : values[y * columns + x]);
  const cut = (a, b) => (a < -1e29 || b < -1e29 ? .5 : (level - a) / (b - a));
  for (let y = -1; y < rows; y++)
    for (let x = -1; x < columns; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)], points = [];
      if ((a >= level) !== (b >= level)) points.push([x + cut(a, b), y]);
      if ((b >= level) !== (c >= level)) points.push([x + 1, y + cut(b, c)]);
      if ((d >= level) !== (c >= level)) points.push([x + cut(d, c), y + 1]);
      if ((a >= level) !== (d >= level)) points.push([x, y + cut(a, d)]);
      for (let k = 0; k + 1 < points.length; k += 2)
        for (const [px, py] of [points[k], points[k + 1]]) lines.push((px + .5) / columns, (py + .5) / rows);
    }
  return lines;
}

const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
* { box-sizing: border-box; }
:host { display: block; font: 1rem/1.4 system-ui, sans-serif; --a: var(--infomask-accent, #ffb454); }
[hidden] { display: none !important; }
.view { position: relative; container-type: inline-size; overflow: hidden; margin: 0 auto; border-radius: var(--infomask-radius, 12px); background: #0006;
  aspect-ratio: var(--ratio, 3 / 2); max-width: calc(var(--tallest, 70vh) * var(--ratio, 1.5)); touch-action: pan-y; user-select: none; }
.view.zoomed, .view.brushing { touch-action: none; }
.layer, .pan, .grid { position: absolute; inset: 0; }
.pan { transform-origin: 0 0; }
.pan > * { position: absolute; inset: 0; width: 100%; height: 100%; }
.after { clip-path: inset(0 0 0 var(--cut)); background: repeating-conic-gradient(#888 0 25%, #aaa 0 50%) 0 0 / 24px 24px; }
.split .before .map, .split .before .line { clip-path: none; }
.dim { filter: brightness(.72) saturate(.85); }
.grid { cursor: crosshair; border-radius: inherit; }
.grid:focus-visible { outline: 3px solid var(--a); outline-offset: -3px; }
.mark { position: absolute; border: 2px solid #fff; box-shadow: 0 0 0 1px #000; pointer-events: none; border-radius: 3px; }
.divider { position: absolute; inset: 0 auto 0 var(--cut); width: 2px; margin-left: -1px; background: #fff; pointer-events: none;
  box-shadow: 0 0 4px #0008; }
.divider::after { content: "\\25C2\\2009\\25B8"; position: absolute; top: 50%; left: 1px; display: grid; place-items: center; width: 44px; height: 44px; margin: -22px;
  border-radius: 50%; background: #fff; color: #111; font: 15px system-ui, sans-serif; box-shadow: 0 1px 6px #0009; forced-color-adjust: none; }
input { position: absolute; left: 0; top: 50%; width: 100%; height: 44px; margin: -22px 0 0; appearance: none; background: none; pointer-events: none; }
input::-webkit-slider-thumb { appearance: none; width: 44px; height: 44px; border: 0; border-radius: 50%; cursor: ew-resize; pointer-events: auto;
  background: none; }
input::-moz-range-thumb { width: 44px; height: 44px; border: 0; border-radius: 50%; background: none; cursor: ew-resize; pointer-events: auto; }
input:focus-visible { outline: none; }
input:focus-visible::-webkit-slider-thumb { outline: 3px solid var(--a); outline-offset: 2px; }
input:focus-visible::-moz-range-thumb { outline: 3px solid var(--a); outline-offset: 2px; }
.badge { position: absolute; top: 12px; max-width: 46%; padding: .2em .8em; border-radius: 1em; background: #000c; color: #fff;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere;
  font-size: .85rem; line-height: 1.35; pointer-events: none; }
.left { left: 12px; } .right { right: 12px; }
.badge b { unicode-bidi: isolate; }
@container (max-width: 30rem) { .badge { top: 8px; max-width: calc(100% - 16px); font-size: .8rem; } .left { left: 8px; } .right { top: auto; bottom: 8px; right: 8px; } }
.tip { position: absolute; z-index: 2; width: max-content; max-width: min(17rem, 90%); padding: .5rem .75rem; border-radius: 8px;
  background: #000d; color: #fff; font-size: .85rem; pointer-events: none; }
.tip b { display: block; color: #ffb454; font-size: 1.15rem; } .tip.against b { color: #8ec5ff; }
.note { margin: .5rem 0 0; } .note.bad { color: #b3261e; }
.sizer { visibility: hidden; display: block; width: 100%; }
@media (forced-colors: active) { .badge, .tip { border: 1px solid; } .grid:focus-visible { outline-color: Highlight; } }
`);

const MARKUP = `<div class="view">
  <div class="layer before"><div class="pan"><img class="photo" alt=""><canvas class="map"></canvas><canvas class="line"></canvas>
    <canvas class="paint" hidden></canvas></div></div>
  <div class="layer after" hidden><div class="pan"><img class="result" alt=""></div></div>
  <div class="grid" tabindex="0" role="application"></div><div class="mark" hidden></div><div class="divider" hidden></div>
  <span class="badge left" hidden></span><span class="badge right" hidden></span>
  <input type="range" min="0" max="1000" value="620" hidden aria-label="Before and after: where the one ends and the other begins">
  <div class="tip" hidden></div></div>
<span class="say" role="status"></span><p class="note" hidden></p><slot></slot>`;
const hiddenText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap";

export class InfoMaskElement extends HTMLElement {
  static observedAttributes = ["src", "server", "target", "view"];
  #part = {};
  #urls = {};
  #map = null;         // {cells, scale, field, shown, label, unit, against}
  #mask = null;        // {field, level}: what the service cut out
  #selection = null;   // {field, level}: what a slider proposes
  #zoom = {scale: 1, x: 0, y: 0};
  #pointers = new Map();
  #square = null;      // [row, column] that is told about
  #strokes = [];
  #brush = 0;          // diameter in shares of the photo's longest side; 0: no brush
  #abort = null;
  #photo = null;
  #masks = 0;          // counts what was handed in: a mask that is read late is not shown
  #after = null;
  #fade = 0;
  #answered = false;   // what its attributes ask for is there

  constructor() {
    super();
    const root = this.attachShadow({mode: "open"});
    root.adoptedStyleSheets = [SHEET];
    root.innerHTML = MARKUP;
    for (const name of ["view", "photo", "map", "line", "paint", "after", "result", "grid", "mark", "divider", "left", "right", "tip", "note", "say"])
      this.#part[name] = root.querySelector(`.${name}`);
    this.#part.slider = root.querySelector("input");
    this.#part.say.style.cssText = hiddenText;
    this.#listen();
    new ResizeObserver(() => this.#drawLine()).observe(this.#part.view);
  }

  connectedCallback() { if (this.getAttribute("src") && !this.#answered) this.#load(); this.#label(); this.#split(); }
  disconnectedCallback() { this.#abort?.abort(); }
  attributeChangedCallback(name, old, now) {
    if (old === now) return;
    if (name !== "view") this.#answered = false;
    if (!this.isConnected) return;
    if (name === "view") this.#draw();
    else if (this.getAttribute("src")) this.#load();
  }

  // ---- What a page hands in ----------------------------------------------------------------------------------------

  /** The photo; everything that was shown of another one goes. */
  get photo() { return this.#photo; }
  set photo(blob) {
    this.#photo = blob;
    this.#map = this.#mask = this.#selection = this.#square = null;
    this.#masks++;
    this.#strokes = [];
    this.#zoomTo({scale: 1, x: 0, y: 0});
    this.after = null;
    this.#show("photo", blob);
    this.#part.photo.alt = blob ? "The photo" : "";
    this.#hideTip();
    this.#draw();
  }

  /** The photo without it, behind the slider; null: none. */
  get after() { return this.#after; }
  set after(blob) {
    const part = this.#part;
    this.#after = blob;
    this.#show("result", blob);
    part.result.alt = blob ? "The photo after the change" : "";
    part.after.hidden = part.divider.hidden = part.slider.hidden = part.right.hidden = !blob;
    this.#split();
  }
  set captions([before, after]) {
    this.#part.left.replaceChildren(...[].concat(before));
    this.#part.left.hidden = !before;
    this.#part.right.textContent = after || "";
  }

  /** Squares, row by row. label, against: what they speak for, and rather than what.  null: none. */
  setMap(map) {
    if (!map) return this.#clearMap();
    const {cells, unit = "nats"} = map, label = said(map.label ?? ""), against = said(map.against ?? "");
    const field = fieldOf(cells), before = this.#map;
    const same = before && before.field.rows === field.rows && before.field.columns === field.columns;
    const scale = scaleOf(cells), from = same ? before.shown : new Float32Array(field.values.length);
    this.#map = {cells, scale, field, shown: field.values.map((value) => value / scale), label, unit, against};
    this.#label();
    this.#crossFade(from, this.#map.shown);
    this.#selection = null;
    if (this.#square) this.#tell(...this.#square); else this.#drawLine();
  }

  #clearMap() {
    this.#map = this.#selection = null;
    this.#hideTip();
    this.#label();
    this.#draw();
  }

  /** The mask that was cut, as a picture; null: none. */
  async setMask(blob) {
    const turn = ++this.#masks;
    const field = blob ? await maskField(blob).catch(() => null) : null;
    if (turn !== this.#masks) return; // another one was handed in meanwhile, or another photo
    this.#mask = field;
    this.#selection = null;
    this.#drawLine();
  }

  /** Outlines the fewest squares with that share of the positive information; null: the mask again. */
  set share(share) {
    this.#selection = share === null || !this.#map ? null : {field: this.#map.field, level: levelOf(this.#map.cells, share)};
    this.#drawLine();
  }

  /** Diameter of the brush in shares of the photo's longest side; 0: squares are told about instead. */
  get brush() { return this.#brush; }
  set brush(size) {
    this.#brush = size;
    this.#part.view.classList.toggle("brushing", size > 0);
    this.#part.paint.hidden = !this.#strokes.length;
    this.#hideTip();
  }
  get strokes() { return this.#strokes.length; }
  undo() { this.#strokes.pop(); this.#drawPaint(); }
  unpaint() { this.#strokes = []; this.#drawPaint(); }
  /** What was painted over, white on black, in the photo's own size. @returns {Promise<Blob>} */
  paintedMask() {
    const canvas = document.createElement("canvas");
    canvas.width = this.#part.photo.naturalWidth;
    canvas.height = this.#part.photo.naturalHeight;
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.#drawStrokes(context, "#fff");
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }
  /** The keys go to the map: a tabindex of this element itself would take map and slider out of their order. */
  focus(options) { this.#part.grid.focus(options); }
  get ready() { return this.#part.photo.decode().catch(() => {}); }

  // ---- By itself ---------------------------------------------------------------------------------------------------

  async #load() {
    this.#abort?.abort();
    const {signal} = this.#abort = new AbortController();
    const client = new Infomask(this.getAttribute("server") || undefined, {key: this.getAttribute("api-key") || ""});
    const target = this.getAttribute("target") || undefined;
    try {
      this.#tellNote("Looking …");
      const answer = await fetch(new URL(this.getAttribute("src"), document.baseURI), {signal});
      if (!answer.ok) throw new Error(`The photo is not there (${answer.status}).`);
      const photo = await answer.blob();
      signal.throwIfAborted();
      this.photo = photo;
      this.captions = ["", ""];
      const analysis = await client.analyze(this.#photo, {target, include: "mask", top_k: 1}, {signal});
      signal.throwIfAborted();
      const shown = analysis.target ?? analysis.predictions[0], {label} = shown;
      this.setMap({cells: analysis.map.cells, label, unit: analysis.units});
      this.setMask(analysis.mask.png ? blobOf(analysis.mask.png) : null);
      this.captions = [`what speaks for ${said(label)}`, ""];
      this.#tellNote(`${said(label)}: ${shown.pmi.toFixed(2)} ${analysis.units} in the model's crop, ` +
        `${analysis.map.pmi?.toFixed(2) ?? "-"} over the whole photo`);
      const filtered = await client.filter(this.#photo, {target: String(shown.index ?? label)}, {signal});
      signal.throwIfAborted();
      this.after = filtered.image;
      this.captions = [`what speaks for ${said(label)}`, behind(label, filtered)];
      this.#answered = true;
      this.dispatchEvent(new CustomEvent("infomask-answer", {bubbles: true, composed: true, detail: {analysis, filtered}}));
    } catch (error) {
      if (signal.aborted) return;
      this.#tellNote(error.message, true);
      this.dispatchEvent(new CustomEvent("infomask-error", {bubbles: true, composed: true, detail: {error}}));
    }
  }
  #tellNote(text, bad = false) {
    this.#part.note.textContent = text;
    this.#part.note.hidden = !text;
    this.#part.note.classList.toggle("bad", bad);
  }

  // ---- Drawing -----------------------------------------------------------------------------------------------------

  #show(name, blob) {
    if (this.#urls[name]) URL.revokeObjectURL(this.#urls[name]);
    this.#urls[name] = blob ? URL.createObjectURL(blob) : "";
    if (blob) this.#part[name].src = this.#urls[name]; else this.#part[name].removeAttribute("src");
  }
  #label() {
    const map = this.#map;
    this.#part.grid.setAttribute("aria-label", map
      ? `Map of what speaks for ${map.label}${map.against ? ` rather than ${map.against}` : ""}. Arrow keys go from square to square; plus, minus and 0 zoom.`
      : "The photo");
  }
  get #view() { return this.getAttribute("view") || "map"; }
  #draw() {
    if (this.#map) this.#paintMap(this.#map.shown);
    this.#part.map.hidden = !this.#map || this.#view !== "map";
    this.#part.photo.classList.toggle("dim", Boolean(this.#map) && this.#view === "map");
    this.#drawLine();
    this.#drawPaint();
  }
  #paintMap(shown) {
    const {rows, columns} = this.#map.field, canvas = this.#part.map;
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, {width: columns, height: rows});
    const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
    const colors = palette(), pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = colors[Math.round(512 + 512 * Math.min(1, Math.max(-1, shown[i])))];
    context.putImageData(image, 0, 0);
  }
  #crossFade(from, to) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || this.#view !== "map" || document.hidden;
    const turn = ++this.#fade, began = performance.now(), between = new Float32Array(to.length);
    if (still) return this.#draw();
    this.#draw();
    const step = (now) => {
      if (turn !== this.#fade || !this.#map || this.#map.shown !== to) return;
      const f = Math.min(1, (now - began) / FADE_MS);
      for (let i = 0; i < to.length; i++) between[i] = from[i] + f * (to[i] - from[i]);
      this.#paintMap(between);
      if (f < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
  #drawLine() {
    const canvas = this.#part.line, region = this.#selection ?? this.#mask;
    canvas.hidden = this.#view === "photo" || !region || (this.#view !== "outline" && !this.#selection);
    if (canvas.hidden) return;
    const box = this.#part.view.getBoundingClientRect(); // makes the browser lay the page out
    if (!box.width) return;
    const dense = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.round(box.width * dense);
    canvas.height = Math.round(box.height * dense);
    const context = canvas.getContext("2d");
    if (this.#view === "outline") this.#shade(context, region);
    const lines = contour(region.field, region.level);
    context.beginPath();
    for (let i = 0; i < lines.length; i += 4) {
      context.moveTo(lines[i] * canvas.width, lines[i + 1] * canvas.height);
      context.lineTo(lines[i + 2] * canvas.width, lines[i + 3] * canvas.height);
    }
    context.lineCap = "round";
    for (const [color, width] of [["#000a", 5], ["#fff", 2.5]]) {
      Object.assign(context, {strokeStyle: color, lineWidth: width * dense});
      context.stroke();
    }
  }
  // everything but the region goes dark
  #shade(context, {field, level}) {
    const small = new OffscreenCanvas(field.columns, field.rows), inner = small.getContext("2d");
    const image = inner.createImageData(field.columns, field.rows);
    for (let i = 0; i < field.values.length; i++) image.data[4 * i + 3] = field.values[i] >= level ? 0 : 150;
    inner.putImageData(image, 0, 0);
    context.drawImage(small, 0, 0, context.canvas.width, context.canvas.height);
  }
  #drawPaint() {
    const canvas = this.#part.paint, {naturalWidth: width, naturalHeight: height} = this.#part.photo;
    canvas.hidden = !this.#strokes.length;
    if (canvas.hidden || !width) return;
    const scale = Math.min(1, 1024 / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    this.#drawStrokes(canvas.getContext("2d"), "#ff3d7fb0");
  }
  #drawStrokes(context, color) {
    const {width, height} = context.canvas, longest = Math.max(width, height);
    Object.assign(context, {strokeStyle: color, lineCap: "round", lineJoin: "round"});
    for (const {size, points} of this.#strokes) {
      context.lineWidth = Math.max(1, size * longest);
      context.beginPath();
      points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x * width, y * height));
      if (points.length === 1) context.lineTo(points[0][0] * width + .01, points[0][1] * height);
      context.stroke();
    }
  }
  #split() {
    const at = this.#part.slider.value / 1000; // the middle of a thumb of 44 px
    this.#part.view.style.setProperty("--cut", `calc(22px + ${at} * (100% - 44px))`);
  }

  // ---- Squares -----------------------------------------------------------------------------------------------------

  // a place of the screen in shares of the photo
  #place(event) {
    const box = this.#part.view.getBoundingClientRect(), {scale, x, y} = this.#zoom;
    return [((event.clientX - box.left) / box.width - x) / scale, ((event.clientY - box.top) / box.height - y) / scale];
  }
  #tell(row, column, aloud = false) {
    const {cells, label, unit, against} = this.#map, rows = cells.length, columns = cells[0].length;
    if (row >= rows || column >= columns) return this.#hideTip();
    const value = cells[row][column], sum = cells.flat().reduce((all, one) => all + Math.max(0, one), 0);
    const share = sum > 0 ? value / sum : 0, {tip, mark} = this.#part, {scale, x, y} = this.#zoom;
    const number = `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(Math.abs(value) < 10 ? 2 : 1)} ${unit}`;
    const rather = against ? ` rather than “${against}”` : "";
    const text = value < 0 ? `this square speaks against “${label}”${rather}`
      : `this square alone speaks for “${label}”${rather}: ${(100 * share).toFixed(1)} % of all that does`;
    const bold = document.createElement("b");
    bold.textContent = number;
    this.#square = [row, column];
    tip.replaceChildren(bold, text);
    tip.classList.toggle("against", value < 0);
    tip.hidden = mark.hidden = false;
    const percent = (share01) => `${100 * share01}%`;
    Object.assign(mark.style, {left: percent(x + scale * column / columns), top: percent(y + scale * row / rows),
      width: percent(scale / columns), height: percent(scale / rows)});
    const middle = x + scale * (column + .5) / columns, lower = y + scale * (row + 1) / rows;
    Object.assign(tip.style, {left: percent(Math.min(.98, Math.max(.02, middle))), transform: `translateX(${-100 * Math.min(1, Math.max(0, middle))}%)`,
      top: lower < .75 ? `calc(${percent(lower)} + 8px)` : "auto", bottom: lower < .75 ? "auto" : `calc(${percent(1 - (y + scale * row / rows))} + 8px)`});
    if (aloud) this.#part.say.textContent = `Row ${row + 1} of ${rows}, column ${column + 1} of ${columns}: ${number}; ${text}`;
    this.dispatchEvent(new CustomEvent("infomask-square", {bubbles: true, composed: true, detail: {row, column, value, share}}));
  }
  #hideTip() { this.#square = null; this.#part.tip.hidden = this.#part.mark.hidden = true; }
  #tellAt(event) {
    if (!this.#map) return;
    const [x, y] = this.#place(event), {cells} = this.#map;
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return this.#hideTip();
    const row = Math.floor(y * cells.length), column = Math.floor(x * cells[0].length);
    if (!this.#square || this.#square[0] !== row || this.#square[1] !== column) this.#tell(row, column);
  }

  // ---- Hands -------------------------------------------------------------------------------------------------------

  #zoomTo({scale, x, y}) {
    const s = Math.min(8, Math.max(1, scale)), inside = (at) => Math.min(0, Math.max(1 - s, at));
    this.#zoom = {scale: s, x: inside(x), y: inside(y)};
    this.#part.view.classList.toggle("zoomed", s > 1);
    for (const pan of this.shadowRoot.querySelectorAll(".pan"))
      pan.style.transform = `translate(${100 * this.#zoom.x}%, ${100 * this.#zoom.y}%) scale(${s})`;
    if (this.#square) this.#tell(...this.#square);
  }
  #zoomAt(factor, px = .5, py = .5) {
    const {scale, x, y} = this.#zoom, next = Math.min(8, Math.max(1, scale * factor)), k = next / scale;
    this.#zoomTo({scale: next, x: px - k * (px - x), y: py - k * (py - y)});
  }
  #down(event) {
    this.#pointers.set(event.pointerId, event);
    if (this.#brush && this.#pointers.size === 1 && this.#photo) {
      this.#part.grid.setPointerCapture(event.pointerId);
      this.#strokes.push({size: this.#brush / this.#zoom.scale, points: [this.#place(event)]});
      this.#drawPaint();
    } else if (this.#pointers.size === 1) this.#tellAt(event);
  }
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before && this.#pointers.size === 2) {
      const other = [...this.#pointers.values()].find((one) => one.pointerId !== event.pointerId);
      const far = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
      const box = this.#part.view.getBoundingClientRect();
      this.#zoomAt(far(event) / far(before), ((event.clientX + other.clientX) / 2 - box.left) / box.width,
        ((event.clientY + other.clientY) / 2 - box.top) / box.height);
    } else if (before && this.#brush && this.#strokes.length) {
      this.#strokes.at(-1).points.push(this.#place(event));
      this.#drawPaint();
    } else if (before && this.#zoom.scale > 1) {
      const box = this.#part.view.getBoundingClientRect(), {scale, x, y} = this.#zoom;
      this.#zoomTo({scale, x: x + (event.clientX - before.clientX) / box.width, y: y + (event.clientY - before.clientY) / box.height});
    } else if (!this.#brush) this.#tellAt(event);
    if (before) this.#pointers.set(event.pointerId, event);
  }
  #up(event) {
    const had = this.#pointers.delete(event.pointerId);
    if (had && this.#brush && this.#strokes.length && event.type !== "pointercancel") this.dispatchEvent(new CustomEvent("infomask-stroke", {bubbles: true, composed: true}));
  }
  #key(event) {
    const steps = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}, step = steps[event.key];
    const rows = this.#map?.cells.length, columns = this.#map?.cells[0].length;
    if (event.key === "+" || event.key === "=") this.#zoomAt(1.5);
    else if (event.key === "-") this.#zoomAt(1 / 1.5);
    else if (event.key === "0") this.#zoomTo({scale: 1, x: 0, y: 0});
    else if (event.key === "Escape") this.#hideTip();
    else if (step && this.#map) {
      const [row, column] = this.#square ?? [Math.floor(rows / 2) - step[0], Math.floor(columns / 2) - step[1]];
      this.#tell(Math.min(rows - 1, Math.max(0, row + step[0])), Math.min(columns - 1, Math.max(0, column + step[1])), true);
    } else if ((event.key === " " || event.key === "Enter") && this.#brush && this.#square) {
      const [row, column] = this.#square;
      this.#strokes.push({size: this.#brush, points: [[(column + .5) / columns, (row + .5) / rows]]});
      this.#drawPaint();
      this.dispatchEvent(new CustomEvent("infomask-stroke", {bubbles: true, composed: true}));
    } else return;
    event.preventDefault();
  }
  #listen() {
    const {grid, slider, photo, view} = this.#part;
    grid.addEventListener("pointerdown", (event) => this.#down(event));
    grid.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) grid.addEventListener(name, (event) => this.#up(event));
    grid.addEventListener("pointerleave", (event) => {
      this.#pointers.delete(event.pointerId);
      if (event.pointerType === "mouse" && this.shadowRoot.activeElement !== grid) this.#hideTip();
    });
    grid.addEventListener("keydown", (event) => this.#key(event));
    grid.addEventListener("blur", () => this.#hideTip());
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // as a pinch on a touchpad comes
      event.preventDefault();
      const box = view.getBoundingClientRect();
      this.#zoomAt(Math.exp(-event.deltaY / 100), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, {passive: false});
    slider.addEventListener("input", () => this.#split());
    photo.addEventListener("load", () => {
      view.style.setProperty("--ratio", photo.naturalWidth / photo.naturalHeight);
      this.#draw();
    });
  }
}

/** A mask as a field of at most 512 points a side, cut at one half. */
async function maskField(blob) {
  const bitmap = await createImageBitmap(blob), scale = Math.min(1, 512 / Math.max(bitmap.width, bitmap.height));
  const columns = Math.max(1, Math.round(bitmap.width * scale)), rows = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(columns, rows).getContext("2d", {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0, columns, rows);
  bitmap.close();
  const {data} = context.getImageData(0, 0, columns, rows), values = new Float32Array(rows * columns);
  for (let i = 0; i < values.length; i++) values[i] = data[4 * i] / 255;
  return {field: {rows, columns, values}, level: .5};
}

if (!customElements.get("info-mask")) customElements.define("info-mask", InfoMaskElement);
