// The page: a photo goes to /v1/analyze, which says what and where, and to /v1/filter, which takes it away and asks again.
import {behind, said} from "../info-mask.js";
import {Infomask, blobOf} from "../infomask.js";
import {$, element, nats, percent, sentence, fileName, save} from "./format.js";
import {showClasses, markClass, showCurve, showLegend, showSentence, showVerdict} from "./cards.js";
import {hasCamera, photograph} from "./camera.js";
import {Folder} from "./folder.js";
import {Names} from "./names.js";
import {AFTERWARDS, Parameters, onlyWithMask} from "./parameters.js";
import {SAMPLES, fetchSample, listenForPhotos, readable} from "./photos.js";
import {copy, program, shareCard} from "./take.js";
import {showStatus} from "./status.js";

const ROWS = 5;
const PATIENCE_MS = 8000; // until an answer is called late
const KEY = "infomask-key"; // of this tab's session storage
const stage = $("stage");
const parameters = new Parameters();
const state = {
  photo: null, name: "", fileName: "photo.jpg", sample: "",
  turn: 0, abort: null, retry: null,     // counts the questions: late answers to old ones are dropped
  aside: null, retryAside: null,         // the same of a question beside the newest one
  wanted: "", target: "", label: "",     // the class asked for and the one shown, "" the best; what it is called
  chosen: "", rows: [], answers: new Map(), // of this photo, model and choices: the class shown, those told, answers by class
  against: "", comparing: null, share: null, moved: false, points: [],  // the slider's; points of the curve
  filtered: null, verdict: "", behind: "", // what is told of the filtered photo, in a card and in a word
  models: [], model: "",
};
let client = new Infomask(new URL(".", document.baseURI), {key: sessionStorage.getItem(KEY) ?? ""});

// ---- Telling --------------------------------------------------------------------------------------------------------

const say = (text) => { $("status").textContent = text; };
const told = (text) => { $("copied").textContent = text; };
let countdown = null, complaining = null;

/** Hides something, and leaves the keys somewhere near when they were on it. */
function hide(id, near = stage) {
  const had = $(id).contains(document.activeElement);
  $(id).hidden = true;
  if (had) near.focus({preventScroll: true});
}

/** who: only if the problem is of that question ("newest" or "aside"). */
function calm(who = complaining) {
  if (who !== complaining) return;
  clearInterval(countdown);
  complaining = null;
  hide("problem");
}

/** Busy: says when it is asked again, and lets one call it off. */
function waiting(seconds, who) {
  let left = seconds;
  const tell = () => { $("problem-says").textContent = `The service is busy. It is asked again in ${Math.max(0, left--)} s.`; };
  clearInterval(countdown);
  complaining = who;
  if (who === "newest") say("Waiting …");
  tell();
  $("problem").classList.replace("bad", "warn");
  countdown = setInterval(tell, 1000);
  $("problem").hidden = $("cancel").hidden = false;
  hide("again", $("cancel"));
}

/** An answer that is late can be called off, too. */
function late() {
  complaining = "newest";
  $("problem-says").textContent = "The service takes long to answer.";
  $("problem").classList.replace("bad", "warn");
  $("problem").hidden = $("cancel").hidden = false;
  hide("again", $("cancel"));
}

function complain(error, who = "newest") {
  clearInterval(countdown);
  if (who === "newest") say("");
  if (error.status === 401 || (error.status === 403 && error.code === "forbidden" && client.key)) {
    calm();
    return askForKey(error);
  }
  complaining = who;
  $("problem-says").textContent = sentence(error.message);
  $("problem").classList.replace("warn", "bad");
  $("problem").hidden = $("again").hidden = false;
  hide("cancel", $("again"));
}

function askForKey(error) {
  $("key-says").textContent = client.key ? sentence(error.message) : "Whoever runs it gave you one.";
  $("key-card").hidden = false;
  $("key").focus();
}

// ---- What is on the page goes with its photo --------------------------------------------------------------------------

const TOLD = ["saying", "classes-card", "legend", "take", "nat"];
/** Dims what was told under other choices, until the answer under these is there. */
function dim(on) {
  for (const id of TOLD) {
    $(id).classList.toggle("stale", on);
    $(id).inert = on;
  }
}

function forgetFile(id) {
  if ($(id).href) URL.revokeObjectURL($(id).href);
  $(id).removeAttribute("href");
  hide(id);
}
/** The slider has moved on: what the verdict tells is of where it was, until the photo is filtered anew. */
function outdate(on) {
  state.moved = on;
  $("verdict").classList.toggle("stale", on);
}
function forgetFiltered() {
  outdate(false);
  state.filtered = null;
  state.verdict = state.behind = "";
  stage.after = null;
  forgetFile("download");
  forgetFile("download-mask");
  hide("verdict");
}

/** Takes back what the slider and the brush propose, and the curve: they are of one class. */
function forgetShare() {
  state.share = null;
  $("share").value = $("share").defaultValue;
  state.points = [];
  stage.share = null;
  stage.unpaint?.();
  hide("curve");
  showShare();
}

/** Everything that was told: of another photo, model or choice. */
function forgetAnswers() {
  state.aside?.abort();
  Object.assign(state, {answers: new Map(), rows: [], chosen: "", target: "", label: "", against: ""});
  forgetFiltered();
  forgetShare();
  stopBrush();
  stage.setMap?.(null);
  stage.captions = ["", ""];
  for (const id of TOLD) hide(id);
  $("classes").replaceChildren();
  $("target").value = "";
  fillAgainst();
  dim(false);
}

function forgetPhoto() {
  state.turn++;
  state.abort?.abort();
  Object.assign(state, {photo: null, retry: null, wanted: ""});
  calm();
  told("");
  say("");
  document.body.removeAttribute("aria-busy");
  forgetAnswers();
  stage.photo = null;
  return state.turn;
}

// ---- The questions ----------------------------------------------------------------------------------------------------

const outdated = () => new DOMException("an older question", "AbortError");

/** Runs the steps as the newest question; an older one that still waits is called off. */
async function newest(steps) {
  if (!state.photo) return;
  const turn = ++state.turn;
  state.abort?.abort();
  state.retry = () => newest(steps);
  const {signal} = state.abort = new AbortController();
  const options = {signal, waiting: (seconds) => waiting(seconds, "newest"), progress: (share) => { if (share < 1) say(`Sending: ${percent(share)}`); }};
  const fresh = () => { if (turn !== state.turn) throw outdated(); };
  calm();
  document.body.setAttribute("aria-busy", "true");
  const timer = setTimeout(() => { if (turn === state.turn && $("problem").hidden) late(); }, PATIENCE_MS);
  try {
    await steps(options, fresh);
    say("");
    calm("newest");
    hide("key-card");
    state.retry = null;
  } catch (error) {
    if (turn !== state.turn) return;
    if ($("saying").classList.contains("stale")) forgetAnswers();
    state.wanted = state.target;
    if (error.name !== "AbortError") return complain(error);
    say("Called off.");
    calm("newest");
  } finally {
    clearTimeout(timer);
    if (turn === state.turn) document.body.removeAttribute("aria-busy");
  }
}

/** Runs the steps beside the newest question, as long as the answers are there that it was asked about. */
async function aside(steps) {
  state.aside?.abort();
  const {signal} = state.aside = new AbortController(), {answers} = state;
  const fresh = () => { if (signal.aborted || answers !== state.answers) throw outdated(); };
  calm("aside");
  try {
    await steps({signal, waiting: (seconds) => waiting(seconds, "aside")}, fresh);
    calm("aside");
  } catch (error) {
    if (state.aside.signal !== signal || answers !== state.answers) return;
    told("");
    if (error.name === "AbortError") return calm("aside");
    complain(error, "aside");
    state.retryAside = () => aside(steps);
  }
}

function again() {
  const who = complaining;
  calm();
  if (who === "aside") return state.retryAside();
  if (!state.models.length) return begin();
  if (!names.size) loadNames().catch(complain);
  return (state.retry ?? ask)();
}

function cancel() {
  (complaining === "aside" ? state.aside : state.abort)?.abort();
  calm();
}

const model = () => state.models.find((one) => one.name === state.model);
// a model without a class map is asked by the first of the methods that it has
const method = () => parameters.values.method ?? (model()?.methods?.includes("infocam") ?? true ? undefined : model().methods[0]);
const common = (target) => ({model: state.model || undefined, target: target || undefined, method: method()});
// the slider's share is what is taken: the squares that are outlined, as they are, and no more of them in further rounds
const AS_OUTLINED = {refine: false, max_passes: 1, max_area: 1};
const shareQuestion = () => (state.share === null ? {} : {threshold: `share:${state.share / 100}`});
// what is shown behind the slider has the photo's size: only what is downloaded is cropped
const filterQuestion = () => {
  const asked = {...(state.share === null ? {} : AS_OUTLINED), ...parameters.for("filter"), ...shareQuestion(), trim: undefined, ...common(state.target)};
  return stage.strokes ? onlyWithMask(asked) : asked;
};

/** Asks what speaks for a class; what is shown is of the one before until the answer is there. */
async function analyse(target, options, fresh) {
  say("Looking …");
  const answer = await client.analyze(state.photo, {...parameters.for("analyze"), ...common(target), top_k: Math.min(ROWS, classes()), include: "mask"}, options);
  fresh();
  const row = {...(answer.target ?? answer.predictions[0])};
  row.key = row.group ? `group:${row.group}` : String(row.index);
  state.answers.set(row.key, {row, map: answer.map, prior: answer.prior, mask: answer.mask.png, whole: true});
  if (!state.rows.length) state.rows = answer.predictions.map((one) => ({...one, key: String(one.index)}));
  if (!state.rows.some((one) => one.key === row.key)) state.rows.push(row);
  dim(false);
  state.wanted = target && row.key;
  showAnswer(row.key, state.wanted);
}

/** Shows the answer of a class that is there. */
function showAnswer(key, target = key) { // target: "" where the best was asked for
  const {row, map, prior, mask} = state.answers.get(key);
  Object.assign(state, {chosen: key, target, label: row.label});
  if ($("classes").childElementCount !== state.rows.length) showClasses(state.rows, (one) => choose(one.key));
  markClass(key);
  fillAgainst();
  showSentence(row, prior, map);
  showMap();
  showMask(mask);
  for (const id of ["take", "nat", "more"]) $(id).hidden = false;
  showRequest();
}

function showMask(png) {
  const mask = png ? blobOf(png) : null;
  stage.setMask(mask);
  offer("download-mask", mask, "mask.png");
}

const named = (ending) => `${fileName(state.name)}-${fileName(state.label)}-${ending}`;
function offer(id, blob, ending) {
  forgetFile(id);
  if (!blob) return;
  $(id).href = URL.createObjectURL(blob);
  $(id).download = id === "download" ? ending : named(ending);
  $(id).hidden = false;
}

async function filter(options, fresh) {
  say(`Taking “${said(state.label)}” away, and asking again …`);
  const mask = stage.strokes ? await stage.paintedMask() : null;
  fresh();
  const {share} = state; // the slider may move on before the answer is there
  const answer = await client.filter(state.photo, {...filterQuestion(), mask}, options);
  fresh();
  state.filtered = answer;
  stage.after = answer.image;
  if ((mask || share !== null) && answer.mask.png) showMask(answer.mask.png);
  const mode = parameters.values.mode, only = mode === "keep" || mode === "cutout";
  state.behind = mask && !only ? "what you left" : behind(state.label, answer, mode);
  stage.captions = [caption(), state.behind];
  state.verdict = showVerdict(answer, state.label, {mode});
  const type = answer.image.type.split("/")[1].replace("jpeg", "jpg");
  offer("download", answer.image, `${fileName(state.name)}-${only ? "only" : "without"}-${fileName(state.label)}.${type}`);
  if (!mask && !only) curvePoint(answer, share === null ? answer.mask.information_share : share / 100);
}

function curvePoint(answer, share) {
  const v = [].concat(answer.verification)[0];
  if (v.area === 0 || share === null) return;
  state.points = [...state.points.filter((point) => Math.abs(point.share - share) > 1e-9), {share, after: v.pmi_after}];
  if (state.points.length > 1) showCurve(state.points, v.pmi_before);
}

/** Asks all there is about a class: what speaks for it, unless that is known, and the photo without it. */
const ask = (target = state.wanted) => newest(async (options, fresh) => {
  const key = target || state.chosen, known = state.answers.get(key);
  state.wanted = target;
  forgetFiltered();
  if (!known?.whole) await analyse(target, options, fresh);
  else if (key !== state.chosen) showAnswer(key);
  else if (state.share === null && !stage.strokes) showMask(known.mask);
  await filter(options, fresh);
});
const refilter = () => ask();

function choose(key) {
  forgetShare();
  stopBrush();
  return ask(key);
}

// ---- The map ----------------------------------------------------------------------------------------------------------

const other = () => (state.against === state.chosen ? null : state.answers.get(state.against) ?? null);
const caption = () => ["what speaks for ", element("b", {text: state.label}), ...(other() ? [" rather than ", element("b", {text: other().row.label})] : [])];

function showMap() {
  const {map} = state.answers.get(state.chosen), rather = other(), against = rather?.row.label ?? "";
  const cells = rather ? map.cells.map((row, y) => row.map((value, x) => value - rather.map.cells[y][x])) : map.cells;
  stage.setMap({cells, label: state.label, unit: "nats", against});
  stage.captions = [caption(), state.behind];
  showLegend(cells, rather ? map.mean - rather.map.mean : map.mean, against ? `, rather than ${said(against)}` : "");
}

function fillAgainst() {
  if (!other()) state.against = "";
  $("against").replaceChildren(element("option", {value: "", text: "rather than …"}),
    ...state.rows.filter((row) => row.key !== state.chosen).map((row) => element("option", {value: row.key, text: row.label})));
  $("against").hidden = state.rows.length < 2;
  $("against").value = state.against;
  $("against").removeAttribute("aria-busy");
}

function compare() {
  const key = $("against").value, turn = state.comparing = {};
  state.aside?.abort();
  calm("aside");
  if (!key || state.answers.has(key)) {
    state.against = key;
    return showMap();
  }
  $("against").setAttribute("aria-busy", "true"); // chosen, but not shown yet
  return aside(async (options, fresh) => {
    try {
      const answer = await client.mask(state.photo, {...parameters.for("mask"), ...common(key)}, options);
      fresh();
      state.answers.set(key, {row: {...answer.target, key}, map: answer.map});
      state.against = key;
      showMap();
    } finally {
      if (turn === state.comparing) fillAgainst();
    }
  });
}

// ---- Photos -----------------------------------------------------------------------------------------------------------

/** Another photo: a blob, or a function that gets one. */
async function take(source, name, choices = {}) {
  const {sample = "", target = "", share = null, keepStrip = false} = choices;
  const reading = typeof source === "function" ? source().then(readable) : readable(source); // while the page is cleared
  const turn = forgetPhoto();
  if (!keepStrip) folder.clear();
  document.body.setAttribute("aria-busy", "true");
  for (const button of document.querySelectorAll("[data-sample]")) button.setAttribute("aria-current", String(button.dataset.sample === sample));
  try {
    const {blob: photo, note} = await reading;
    if (turn !== state.turn) return;
    Object.assign(state, {photo, name: name.replace(/\.\w+$/, ""), sample, fileName: name});
    if (share !== null) showShare(share);
    const underWay = ask(target); // the photo is on its way before the browser begins to decode it
    stage.photo = photo;
    told(note);
    showRequest();
    await underWay;
  } catch (error) {
    if (turn !== state.turn) return;
    document.body.removeAttribute("aria-busy");
    complain(error);
    state.retry = () => take(source, name, choices);
  }
}

function takeAll(files) {
  if (files.length === 0) return complain(new Error("There is no photo among them."));
  if (files.length === 1 && !files[0].path.includes("/")) return take(files[0].file, files[0].file.name || files[0].path);
  folder.fill(files, client, state.model || undefined);
  folder.mark(0);
  return take(files[0].file, files[0].file.name, {keepStrip: true});
}
const folder = new Folder((photo) => take(photo.file, photo.file.name, {keepStrip: true}));

const takeSample = (name, choices = {}) => take(() => fetchSample(name), `${name}.jpg`, {sample: name, ...choices});

// ---- How much, and the brush --------------------------------------------------------------------------------------------

function showShare(share = state.share) {
  if (share !== null) {
    $("share").value = share;
    state.share = Number($("share").value);
  }
  $("share-says").textContent = stage.strokes ? "what you painted over" : share === null ? "the service's own rule" : `${state.share} % of what speaks for it`;
  if (stage.strokes || share !== null) $("share-auto").hidden = false; else hide("share-auto", $("share"));
  showRequest();
}
function moveShare() {
  if (!state.chosen) return;
  unpaint();
  showShare($("share").value);
  stage.share = state.share / 100;
  outdate(true);
}
/** Let go: also where it began, of which the browser tells no change. */
function settleShare() {
  if (state.moved) refilter();
}
function autoShare() {
  state.share = null;
  $("share").value = $("share").defaultValue;
  stage.share = null;
  unpaint();
  showShare();
  refilter();
}

function unpaint() {
  stage.unpaint?.();
  for (const id of ["undo", "unpaint"]) hide(id, $("brush"));
}
function stopBrush() {
  stage.brush = 0;
  unpaint();
  $("brush").setAttribute("aria-pressed", "false");
  hide("brush-size-label", $("brush"));
}
function toggleBrush() {
  if (!stage.brush) {
    stage.brush = $("brush-size").value / 100;
    $("brush").setAttribute("aria-pressed", "true");
    $("brush-size-label").hidden = false;
    say("Paint over a place: when you let go, it is filled and the network is asked again.");
    return;
  }
  const painted = stage.strokes;
  stopBrush();
  showShare();
  if (painted) refilter();
}
function painted() {
  if (!state.chosen) return stage.unpaint();
  if (stage.strokes) $("undo").hidden = $("unpaint").hidden = false; else unpaint();
  state.share = null;
  stage.share = null;
  showShare();
  return refilter();
}

// ---- Taking along -------------------------------------------------------------------------------------------------------

const asked = () => ({...filterQuestion(), trim: parameters.values.mode === "cutout" ? parameters.values.trim : undefined, target: names.say(state.target, state.label) || undefined});
const asProgram = (how) => program(how, client.server, asked(), state.fileName, client.key, stage.strokes ? named("mask.png") : "");
function showRequest() { $("request").textContent = asProgram("curl"); }

async function copyProgram(event) {
  const how = event.target.dataset.copy;
  if (!how) return;
  const goes = stage.strokes ? ` What you painted over goes along as ${named("mask.png")}: the button Mask saves it.` : "";
  told(await copy(asProgram(how)) ? `Copied as ${how === "python" ? "Python" : how}.${goes}` : "This browser does not let a page copy.");
}
async function copyLink() {
  const choices = new URLSearchParams(Object.entries({...parameters.values, target: names.say(state.target, state.label), share: state.share ?? "", photo: state.sample}).filter(([, value]) => value !== ""));
  const url = new URL(document.baseURI);
  url.hash = choices.toString();
  const without = [...(state.sample ? [] : ["the photo"]), ...(stage.strokes ? ["what you painted"] : [])].join(" and ");
  told(await copy(url.href) ? `Copied a link with the choices${without && `, without ${without}`}.` : url.href);
}
function makeCard() {
  const {photo, filtered, verdict} = state, name = named("card.png");
  const says = `${$("sentence").textContent}.`, exactly = $("exactly").textContent, area = filtered && [].concat(filtered.verification)[0].area;
  return shareCard({before: photo, after: filtered?.image, caption: state.behind, sentence: says, exactly, verdict, area}).then((blob) => save(blob, name), complain);
}
const makeCutout = () => aside(async (options, fresh) => {
  const name = named("cutout.png");
  told("Cutting it out …");
  const mask = stage.strokes ? await stage.paintedMask() : null;
  fresh();
  const answer = await client.filter(state.photo, {...filterQuestion(), mode: "cutout", fill: undefined, trim: parameters.values.trim, mask}, options);
  fresh();
  told("");
  save(answer.image, name);
});

// ---- Models and parameters ------------------------------------------------------------------------------------------------

const classes = () => model()?.classes ?? ROWS;
const names = new Names((key) => choose(key));

async function loadNames() {
  const asked = state.model, mine = client;
  names.set([], []);
  const [labels, groups] = await Promise.all([client.labels(asked),
    client.json("GET", `v1/models/${encodeURIComponent(asked)}/groups`).catch(() => ({groups: []}))]);
  if (asked === state.model && mine === client) names.set(labels.labels, groups.groups ?? []);
}
const defaultModel = () => state.models.find((one) => one.default)?.name ?? "";
async function loadModels() {
  const answer = await client.models();
  state.models = answer.models.filter((one) => one.usable ?? (!one.status || one.status === "ready"));
  state.model = state.models.some((one) => one.name === parameters.values.model) ? parameters.values.model : answer.default ?? "";
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
function changed(name) {
  state.points = [];
  hide("curve");
  showRequest();
  if (AFTERWARDS.includes(name) && state.chosen) return refilter();
  const wanted = name === "model" ? "" : state.wanted;
  state.aside?.abort();
  calm("aside");
  Object.assign(state, {answers: new Map(), rows: [], chosen: "", against: "", wanted});
  $("classes").replaceChildren();
  forgetFiltered();
  stage.setMap(null);
  stage.captions = ["", ""];
  dim(true);
  if (name === "model") {
    state.model = parameters.values.model ?? defaultModel();
    forgetShare();
    stopBrush();
    loadNames().catch(complain);
    folder.again(client, state.model);
  }
  return ask(wanted);
}

// ---- Hands ------------------------------------------------------------------------------------------------------------------

async function useKey(event) {
  event.preventDefault();
  state.turn++; // what was asked with another key, or without one, is of no interest any more
  state.abort?.abort();
  state.aside?.abort();
  say("");
  client = new Infomask(client.server, {key: $("key").value.trim()});
  sessionStorage.setItem(KEY, client.key);
  $("key").value = "";
  hide("key-card");
  calm();
  await begin();
  folder.again(client, state.model || undefined, true);
}

function listen() {
  const on = (id, name, what) => $(id).addEventListener(name, what);
  listenForPhotos(takeAll);
  on("skip", "click", (event) => { event.preventDefault(); stage.focus(); }); // a link of ours carries choices behind its #
  for (const button of document.querySelectorAll("[data-sample]")) button.addEventListener("click", () => takeSample(button.dataset.sample));
  for (const radio of document.querySelectorAll("input[name=view]")) radio.addEventListener("change", () => stage.setAttribute("view", radio.value));
  on("shot", "click", async () => { const file = await photograph(); if (file) takeAll([{file, path: file.name}]); });
  hasCamera().then((there) => { $("shot").hidden = !there; });
  on("key-card", "submit", useKey);
  on("again", "click", again);
  on("cancel", "click", cancel);
  on("share", "input", moveShare);
  for (const name of ["change", "pointerup", "pointercancel", "keyup"]) on("share", name, settleShare);
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
  window.addEventListener("hashchange", follow);
  on("measure", "click", () => folder.measure(client));
  on("status-open", "click", () => showStatus(client, state.model));
}

const choicesOf = (link) => {
  const {photo = "", target = "", share = "", ...rest} = Object.fromEntries(new URLSearchParams(link.slice(1)));
  return {photo: SAMPLES.includes(photo) ? photo : "", target, share: share === "" ? null : share, rest: parameters.known(rest)};
};

/** The models, then the choices of the link and the first photo; a photo that is there already is asked about. */
async function begin() {
  const {photo, target, share, rest} = choicesOf(location.hash), mine = client, {turn} = state;
  document.body.setAttribute("aria-busy", "true");
  try {
    if (!state.photo) parameters.values = {...parameters.values, ...rest};
    if (Object.keys(rest).length) await parameters.load(client);
    await loadModels();
    if (mine !== client) return;
    const names = state.model ? loadNames() : null; // beside the first photo: its answer needs no names
    if (state.photo || state.retry) await Promise.all([names, (state.retry ?? ask)()]);
    else if (turn === state.turn) await Promise.all([names, takeSample(photo || SAMPLES[0], {target, share})]);
  } catch (error) {
    if (mine !== client) return;
    document.body.removeAttribute("aria-busy");
    complain(error);
  }
}

/** Another link of ours in the same tab, or back and forward among them: its choices, for its photo or the one that is there. */
function follow() {
  const {photo, target, share, rest} = choicesOf(location.hash), {photo: here, fileName: file, sample} = state;
  parameters.values = rest;
  if (state.models.length && state.model !== (rest.model ?? defaultModel())) {
    state.model = state.models.some((one) => one.name === rest.model) ? rest.model : defaultModel();
    loadNames().catch(complain);
    folder.again(client, state.model);
  }
  if ($("parameters").childElementCount) showMore();
  if (!here || photo) return takeSample(photo || SAMPLES[0], {target, share});
  return take(async () => {
    await parameters.load(client);
    return here;
  }, file, {sample, target, share, keepStrip: true});
}

listen();
begin();
