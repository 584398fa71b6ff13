// The page: a photo goes to /v1/analyze, which says what and where, and to /v1/filter, which takes it away and asks again.
import "../info-mask.js";
import {Infomask, InfomaskError, blobOf} from "../infomask.js";
import {$, element, nats, percent, sentence, fileName, save} from "./format.js";
import {showClasses, markClass, showCurve, showLegend, showSentence, showVerdict} from "./cards.js";
import {hasCamera, photograph} from "./camera.js";
import {Folder} from "./folder.js";
import {Names} from "./names.js";
import {Parameters} from "./parameters.js";
import {listenForPhotos, readable} from "./photos.js";
import {copy, program, shareCard} from "./take.js";
import {showStatus} from "./status.js";

const ROWS = 5;
const KEY = "infomask-key"; // of this tab's session storage
const stage = $("stage");
const parameters = new Parameters();
const state = {
  photo: null, name: "", sample: "",
  turn: 0, abort: null,                  // counts the questions: late answers to old ones are dropped
  target: "", label: "",                 // what is asked for: "" the best class; what it is called
  rows: [], maps: new Map(), pmis: new Map(), // of this photo: the classes told; maps and rows by class
  against: "", share: null, points: [],  // the slider's; points of the curve
  analysis: null, filtered: null, verdict: "",
  models: [], model: "",
};
let client = new Infomask(new URL(".", document.baseURI), {key: sessionStorage.getItem(KEY) ?? ""});

// ---- Telling --------------------------------------------------------------------------------------------------------

const say = (text) => { $("status").textContent = text; };
let countdown = null;

function calm() {
  clearInterval(countdown);
  $("problem").hidden = true;
}

/** Busy: says when it is asked again, and lets one call it off. */
function waiting(seconds) {
  let left = seconds;
  const tell = () => { $("problem-says").textContent = `The service is busy. It is asked again in ${Math.max(0, left--)} s.`; };
  clearInterval(countdown);
  say("Waiting …");
  tell();
  $("problem").classList.replace("bad", "warn");
  countdown = setInterval(tell, 1000);
  $("problem").hidden = $("cancel").hidden = false;
  $("again").hidden = true;
}

function complain(error) {
  clearInterval(countdown);
  say("");
  if (error.status === 401 || (error.status === 403 && error.code === "forbidden" && client.key)) return askForKey(error);
  $("problem-says").textContent = sentence(error.message);
  $("problem").classList.replace("warn", "bad");
  $("problem").hidden = $("again").hidden = false;
  $("cancel").hidden = true;
}

function askForKey(error) {
  $("key-says").textContent = client.key ? sentence(error.message) : "Whoever runs it gave you one.";
  $("key-card").hidden = false;
  $("key").focus();
}

// ---- What is on the page goes with its photo --------------------------------------------------------------------------

function forgetFiltered() {
  state.filtered = null;
  state.verdict = "";
  stage.after = null;
  for (const id of ["download", "download-mask"]) {
    if ($(id).href) URL.revokeObjectURL($(id).href);
    $(id).removeAttribute("href");
    $(id).hidden = true;
  }
  $("verdict").hidden = true;
}

function forgetPhoto() {
  Object.assign(state, {photo: null, analysis: null, rows: [], maps: new Map(), pmis: new Map(), against: "", share: null, points: [], target: "", label: ""});
  forgetFiltered();
  stage.photo = null;
  stage.captions = ["", ""];
  stopBrush();
  for (const id of ["saying", "classes-card", "legend", "take", "curve", "share-auto"]) $(id).hidden = true;
  $("classes").replaceChildren();
  $("target").value = $("copied").textContent = "";
  $("share-says").textContent = "the service's own rule";
  $("against").replaceChildren(element("option", {value: "", text: "rather than …"}));
}

// ---- The questions ----------------------------------------------------------------------------------------------------

/** Runs the steps as the newest question; an older one that still waits is called off. */
async function newest(steps) {
  if (!state.photo) return;
  const turn = ++state.turn;
  state.abort?.abort();
  const {signal} = state.abort = new AbortController();
  const options = {signal, waiting, progress: (share) => { if (share < 1) say(`Sending: ${percent(share)}`); }};
  const fresh = () => { if (turn !== state.turn) throw new DOMException("an older question", "AbortError"); };
  calm();
  document.body.setAttribute("aria-busy", "true");
  try {
    await steps(options, fresh);
    say("");
    calm();
  } catch (error) {
    if (turn !== state.turn) return;
    if (error.name === "AbortError") say("Called off."); else complain(error);
    if (error.name === "AbortError") calm();
  } finally {
    if (turn === state.turn) document.body.removeAttribute("aria-busy");
  }
}

const model = () => state.models.find((one) => one.name === state.model);
// a model without a class map is asked by the first of the methods that it has
const method = () => parameters.values.method ?? (model()?.methods?.includes("infocam") ?? true ? undefined : model().methods[0]);
const common = () => ({model: state.model || undefined, target: state.target || undefined, method: method()});
// what is shown behind the slider has the photo's size: only what is downloaded is cropped
const filterQuestion = () => ({...parameters.for("filter"), trim: undefined, ...common(), threshold: state.share === null ? parameters.values.threshold : `share:${state.share / 100}`});

async function analyse(options, fresh) {
  say("Looking …");
  const answer = await client.analyze(state.photo, {...parameters.for("analyze"), ...common(), top_k: Math.min(ROWS, classes()), include: "mask"}, options);
  fresh();
  const shown = {...(answer.target ?? answer.predictions[0])};
  shown.key = shown.group ? `group:${shown.group}` : String(shown.index);
  state.analysis = answer;
  state.label = shown.label;
  state.maps.set(shown.key, {cells: answer.map.cells, pmi: answer.map.pmi, mean: answer.map.mean});
  state.pmis.set(shown.key, shown);
  if (!state.rows.length) state.rows = answer.predictions.map((row) => ({...row, key: String(row.index)}));
  if (!state.rows.some((row) => row.key === shown.key)) state.rows.push(shown);
  if ($("classes").childElementCount !== state.rows.length) showClasses(state.rows, (row) => choose(row.key));
  markClass(shown.key);
  state.chosen = shown.key;
  fillAgainst();
  showSentence(shown, answer.prior, answer);
  showMap();
  await stage.setMask(answer.mask.png ? blobOf(answer.mask.png) : null);
  offerMask(answer);
  for (const id of ["take", "nat", "more"]) $(id).hidden = false;
  showRequest();
}

function offerMask(answer) {
  if (!answer.mask.png) return;
  $("download-mask").href = URL.createObjectURL(blobOf(answer.mask.png));
  $("download-mask").download = `${fileName(state.name)}-${fileName(state.label)}-mask.png`;
  $("download-mask").hidden = false;
}

async function filter(options, fresh, mask) {
  say(`Taking “${state.label}” away, and asking again …`);
  const asked = mask ? {...onlyWithMask(filterQuestion()), mask} : filterQuestion();
  const answer = await client.filter(state.photo, asked, options);
  fresh();
  state.filtered = answer;
  stage.after = answer.image;
  if (mask || state.share !== null) await stage.setMask(blobOf(answer.mask.png));
  const mode = parameters.values.mode;
  stage.captions = [caption(), mode === "keep" ? `only ${state.label}` : mask ? "what you left" : `without ${state.label}`];
  state.verdict = showVerdict(answer, state.label, {mode});
  const type = answer.image.type.split("/")[1].replace("jpeg", "jpg");
  $("download").href = URL.createObjectURL(answer.image);
  $("download").download = `${fileName(state.name)}-${mode === "keep" ? "only" : "without"}-${fileName(state.label)}.${type}`;
  $("download").hidden = false;
  if (!mask && mode !== "keep") curvePoint(answer);
}

// an own mask is used as it is: what makes masks is refused beside it
function onlyWithMask(asked) {
  const own = ["quality", "threshold", "refine", "min_evidence", "until", "max_passes", "shadow", "resolution", "method"];
  return Object.fromEntries(Object.entries(asked).filter(([name]) => !own.includes(name)));
}

function curvePoint(answer) {
  const v = [].concat(answer.verification)[0], share = state.share === null ? answer.mask.information_share : state.share / 100;
  if (v.area === 0 || share === null) return;
  state.points = [...state.points.filter((point) => Math.abs(point.share - share) > 1e-9), {share, after: v.pmi_after}];
  if (state.points.length > 1) showCurve(state.points, v.pmi_before);
}

const ask = () => newest(async (options, fresh) => {
  forgetFiltered();
  await analyse(options, fresh);
  await filter(options, fresh);
});
const refilter = () => newest(async (options, fresh) => {
  forgetFiltered();
  offerMask(state.analysis);
  await filter(options, fresh);
});

function choose(key) {
  state.target = key;
  state.share = null;
  state.points = [];
  $("curve").hidden = $("share-auto").hidden = true;
  $("share-says").textContent = "the service's own rule";
  stopBrush();
  const known = state.maps.get(key);
  if (known) { // the map is there already: it is shown at once
    state.label = state.pmis.get(key).label;
    state.chosen = key;
    markClass(key);
    showMap();
  }
  ask();
}

// ---- The map ----------------------------------------------------------------------------------------------------------

const caption = () => {
  const rather = state.against ? [" rather than ", element("b", {text: state.pmis.get(state.against)?.label ?? ""})] : [];
  return ["what speaks for ", element("b", {text: state.label}), ...rather];
};

function showMap() {
  const map = state.maps.get(state.chosen), other = state.against && state.against !== state.chosen ? state.maps.get(state.against) : null;
  if (!map) return;
  const cells = other ? map.cells.map((row, y) => row.map((value, x) => value - other.cells[y][x])) : map.cells;
  const against = other ? state.pmis.get(state.against).label : "";
  stage.setMap({cells, label: state.label, unit: "nats", against});
  stage.captions = [caption(), $("verdict").hidden ? "" : `without ${state.label}`];
  showLegend(cells, other ? map.mean - other.mean : map.mean, against ? `, rather than ${against}` : "");
}

function fillAgainst() {
  const chosen = $("against").value;
  $("against").replaceChildren(element("option", {value: "", text: "rather than …"}),
    ...state.rows.filter((row) => row.key !== state.chosen).map((row) => element("option", {value: row.key, text: row.label})));
  $("against").value = [...$("against").options].some((option) => option.value === chosen) ? chosen : "";
  state.against = $("against").value;
}

async function compare() {
  state.against = $("against").value;
  if (state.against && !state.maps.has(state.against)) {
    const photo = state.photo, key = state.against;
    try {
      const answer = await client.mask(photo, {...parameters.for("analyze"), model: state.model || undefined, target: key, method: method(), output: undefined, mode: undefined, fill: undefined}, {waiting});
      if (photo !== state.photo) return;
      calm();
      state.maps.set(key, {cells: answer.map.cells, pmi: answer.map.pmi, mean: answer.map.mean});
      state.pmis.set(key, answer.target);
    } catch (error) {
      return complain(error);
    }
  }
  showMap();
}

// ---- Photos -----------------------------------------------------------------------------------------------------------

async function take(blob, name, {sample = "", target = "", share = null, keepStrip = false} = {}) {
  state.turn++;
  state.abort?.abort();
  calm();
  forgetPhoto();
  if (!keepStrip) folder.clear();
  for (const button of document.querySelectorAll("[data-sample]")) button.setAttribute("aria-current", String(button.dataset.sample === sample));
  const turn = state.turn;
  try {
    const {blob: photo, note} = await readable(blob);
    if (turn !== state.turn) return;
    Object.assign(state, {photo, name: name.replace(/\.\w+$/, ""), sample, target, fileName: name});
    stage.photo = photo;
    if (share !== null) showShare(share);
    $("copied").textContent = note;
    await ask();
  } catch (error) {
    if (turn === state.turn) complain(error);
  }
}

function takeAll(files) {
  if (files.length === 1 && !files[0].path.includes("/")) return take(files[0].file, files[0].file.name || files[0].path);
  folder.fill(files, client, state.model || undefined);
  folder.mark(0);
  return take(files[0].file, files[0].file.name, {keepStrip: true});
}
const folder = new Folder((photo) => take(photo.file, photo.file.name, {keepStrip: true}));

async function takeSample(name, choices = {}) {
  try {
    const answer = await fetch(`web/${name}.jpg`);
    if (!answer.ok) throw new InfomaskError(answer.status, {}, 0);
    await take(await answer.blob(), `${name}.jpg`, {sample: name, ...choices});
  } catch (error) {
    complain(error instanceof InfomaskError ? error : new InfomaskError(0, {}, 0));
  }
}

// ---- How much, and the brush --------------------------------------------------------------------------------------------

function showShare(share) {
  $("share").value = share;
  state.share = Number($("share").value);
  $("share-says").textContent = `${state.share} % of what speaks for it`;
  $("share-auto").hidden = false;
}
function moveShare() {
  showShare($("share").value);
  stage.share = state.share / 100;
}
function autoShare() {
  state.share = null;
  $("share-says").textContent = "the service's own rule";
  $("share-auto").hidden = true;
  stage.share = null;
  ask();
}

function stopBrush() {
  stage.brush = 0;
  stage.unpaint?.();
  $("brush").setAttribute("aria-pressed", "false");
  for (const id of ["brush-size-label", "undo", "unpaint"]) $(id).hidden = true;
}
function toggleBrush() {
  const on = !stage.brush;
  if (!on) return stopBrush();
  stage.brush = $("brush-size").value / 100;
  $("brush").setAttribute("aria-pressed", "true");
  $("brush-size-label").hidden = false;
  say("Paint over a place: when you let go, it is filled and the network is asked again.");
}
async function painted() {
  $("undo").hidden = $("unpaint").hidden = stage.strokes === 0;
  if (stage.strokes === 0) return refilter();
  const mask = await stage.paintedMask();
  return newest(async (options, fresh) => {
    forgetFiltered();
    await filter(options, fresh, mask);
  });
}

// ---- Taking along -------------------------------------------------------------------------------------------------------

const told = (text) => { $("copied").textContent = text; };
const asked = () => ({...filterQuestion(), trim: parameters.values.mode === "cutout" ? parameters.values.trim : undefined, target: state.target ? state.label : undefined});
function showRequest() { $("request").textContent = program("curl", client.server, asked(), state.fileName ?? "photo.jpg", client.key); }

async function copyProgram(event) {
  const how = event.target.dataset.copy;
  if (how) told(await copy(program(how, client.server, asked(), state.fileName ?? "photo.jpg", client.key)) ? `Copied as ${how === "python" ? "Python" : how}.` : "This browser does not let a page copy.");
}
async function copyLink() {
  const choices = new URLSearchParams(Object.entries({...parameters.values, target: state.target ? state.label : "", share: state.share ?? "", photo: state.sample}).filter(([, value]) => value !== ""));
  const url = new URL(document.baseURI);
  url.hash = choices.toString();
  told(await copy(url.href) ? `Copied a link with the choices${state.sample ? "" : ", not the photo"}.` : url.href);
}
async function makeCard() {
  const v = state.filtered ? [].concat(state.filtered.verification)[0] : null;
  const blob = await shareCard({before: state.photo, after: state.filtered?.image, sentence: `${$("sentence").textContent}.`, exactly: $("exactly").textContent, verdict: state.verdict, area: v?.area});
  save(blob, `${fileName(state.name)}-${fileName(state.label)}-card.png`);
}
const makeCutout = () => newest(async (options, fresh) => {
  say("Cutting it out …");
  const answer = await client.filter(state.photo, {...filterQuestion(), mode: "cutout", fill: undefined, trim: parameters.values.trim}, options);
  fresh();
  save(answer.image, `${fileName(state.name)}-${fileName(state.label)}-cutout.png`);
});

// ---- Models and parameters ------------------------------------------------------------------------------------------------

const classes = () => model()?.classes ?? ROWS;
const names = new Names((key) => choose(key));

async function loadNames() {
  const [labels, groups] = await Promise.all([client.labels(state.model),
    client.json("GET", `v1/models/${encodeURIComponent(state.model)}/groups`).catch(() => ({groups: []}))]);
  names.set(labels.labels, groups.groups ?? []);
}
async function loadModels() {
  const answer = await client.models();
  state.models = answer.models.filter((model) => model.usable ?? (!model.status || model.status === "ready"));
  state.model = state.models.some((model) => model.name === parameters.values.model) ? parameters.values.model : answer.default ?? "";
}
async function showMore() {
  try {
    await parameters.load(client);
    parameters.show(state.models.map((model) => model.name), changed);
    showRequest();
  } catch (error) {
    complain(error);
  }
}
async function changed(name) {
  if (name === "model") {
    state.model = parameters.values.model ?? state.models.find((model) => model.default)?.name ?? "";
    await loadNames().catch(complain);
    state.target = "";
    state.rows = [];
    state.maps.clear();
    $("classes").replaceChildren();
  }
  state.maps.clear(); // of another pass
  state.points = [];
  showRequest();
  ask();
}

// ---- Hands ------------------------------------------------------------------------------------------------------------------

async function useKey(event) {
  event.preventDefault();
  state.turn++; // what was asked with another key, or without one, is of no interest any more
  state.abort?.abort();
  client = new Infomask(client.server, {key: $("key").value.trim()});
  sessionStorage.setItem(KEY, client.key);
  $("key").value = "";
  $("key-card").hidden = true;
  calm();
  await begin();
}

function listen() {
  const on = (id, name, what) => $(id).addEventListener(name, what);
  listenForPhotos(takeAll);
  for (const button of document.querySelectorAll("[data-sample]")) button.addEventListener("click", () => takeSample(button.dataset.sample));
  for (const radio of document.querySelectorAll("input[name=view]")) radio.addEventListener("change", () => stage.setAttribute("view", radio.value));
  on("shot", "click", async () => { const file = await photograph(); if (file) takeAll([{file, path: file.name}]); });
  hasCamera().then((there) => { $("shot").hidden = !there; });
  on("key-card", "submit", useKey);
  on("again", "click", () => { calm(); if (state.photo && state.models.length) ask(); else begin(); });
  on("cancel", "click", () => { state.abort?.abort(); calm(); say("Called off."); });
  on("share", "input", moveShare);
  on("share", "change", refilter);
  on("share-auto", "click", autoShare);
  on("against", "change", compare);
  on("brush", "click", toggleBrush);
  on("brush-size", "input", () => { stage.brush = $("brush-size").value / 100; });
  on("undo", "click", () => { stage.undo(); painted(); });
  on("unpaint", "click", () => { stage.unpaint(); painted(); });
  stage.addEventListener("infomask-stroke", painted);
  on("copies", "click", copyProgram);
  on("link", "click", copyLink);
  on("card", "click", makeCard);
  on("cutout", "click", makeCutout);
  on("more", "toggle", () => { if ($("more").open) showMore(); });
  on("parameters", "submit", (event) => event.preventDefault());
  on("reset", "click", () => { parameters.values = {}; showMore(); changed("model"); });
  on("measure", "click", () => folder.measure(client));
  on("status-open", "click", () => showStatus(client, state.model));
}

/** The models, then the choices of the link and the first photo; a photo that is there already is asked about. */
async function begin() {
  const choices = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const {photo = "coffee", target = "", share = "", ...rest} = choices, mine = client;
  try {
    if (!state.photo) Object.assign(parameters.values, rest);
    if (Object.keys(rest).length) await parameters.load(client);
    await loadModels();
    const names = state.model ? loadNames() : null; // beside the first photo: its answer needs no names
    if (state.photo) await Promise.all([names, ask()]);
    else await Promise.all([names, takeSample(["coffee", "chelsea", "rocket"].includes(photo) ? photo : "coffee", {target, share: share === "" ? null : share})]);
  } catch (error) {
    if (mine === client) complain(error instanceof Error ? error : new Error(String(error)));
  }
}

listen();
begin();
