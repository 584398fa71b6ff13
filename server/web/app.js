// The page: a photo goes to /v1/classify, then to /v1/mask and /v1/filter; what comes back is shown.
"use strict";

const $ = (id) => document.getElementById(id);
const state = {
  photo: null,      // the File or Blob that was chosen
  turn: 0,          // counts what was asked for: late answers to old questions are dropped
  abort: null,      // AbortController of the running requests
  chosen: null,     // {label, index} of the class that was clicked
  models: [],
  urls: new Map(),  // object URLs in use, by the element that shows them
};

// ---- Telling ------------------------------------------------------------------------------------------------------

function say(text) {
  $("status").textContent = text;
}

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = text === "";
}

const number = (value, digits = 2) => value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
const percent = (value) => `${number(100 * value, value > 0 && value < 0.01 ? 2 : 1)} %`;
const units = () => $("units").value;

// ---- Asking -------------------------------------------------------------------------------------------------------

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer.");
  }
  if (response.ok) return response.json();
  let detail = `The service answered ${response.status}.`;
  try {
    detail = (await response.json()).detail || detail;
  } catch { /* no JSON: the status must do */ }
  throw new Error(detail);
}

function post(route, parameters) {
  const query = new URLSearchParams({model: $("model").value, units: units(), ...parameters});
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  return ask(`${route}?${query}`, {
    method: "POST", body: state.photo, signal: state.abort.signal,
    headers: {Accept: "application/json", "Content-Type": "application/octet-stream"},
  });
}

// The target by its index, so that a label made of digits or one that two classes share is no question.
function target() {
  const text = $("target").value.trim();
  if (state.chosen && state.chosen.label === text) return String(state.chosen.index);
  const found = [...$("labels").options].find((option) => option.value === text);
  return found ? found.dataset.index : text; // else a name that the service knows, or its refusal
}

// ---- Showing ------------------------------------------------------------------------------------------------------

function blobOf(base64, type) {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], {type});
}

function urlFor(element, blob) {
  if (state.urls.has(element)) URL.revokeObjectURL(state.urls.get(element));
  const url = URL.createObjectURL(blob);
  state.urls.set(element, url);
  return url;
}

function showTotals(answer) {
  const rows = [
    ["information", `${number(answer.information)} ${answer.units}`],
    ["entropy left", `${number(answer.entropy)} of ${number(answer.prior_entropy)} ${answer.units}`],
    ["network", `${number(answer.timing_ms.network, 1)} ms`],
  ];
  $("totals").replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    row.append(term, text);
    return row;
  }));
}

function classRow(prediction, most, chosen) {
  const row = document.createElement("tr");
  const [name, probability, information] = ["th", "td", "td"].map((tag) => document.createElement(tag));
  const button = document.createElement("button");
  const bar = document.createElement("div");
  const length = document.createElement("span");
  const value = document.createElement("b");
  name.scope = "row";
  button.type = "button";
  button.className = "class";
  button.textContent = prediction.label;
  button.setAttribute("aria-pressed", String(prediction.index === chosen));
  button.addEventListener("click", () => {
    $("target").value = prediction.label;
    state.chosen = prediction;
    analyse();
  });
  probability.className = "number";
  probability.textContent = percent(prediction.probability);
  bar.className = "bar";
  length.style.width = `${most > 0 ? Math.max(0, 100 * prediction.pmi / most) : 0}%`;
  value.textContent = number(prediction.pmi);
  name.append(button);
  bar.append(length, value);
  information.append(bar);
  row.append(name, probability, information);
  return row;
}

function showClasses(answer, chosen) {
  const rows = [...answer.predictions];
  if (answer.target && !rows.some((row) => row.index === answer.target.index)) rows.push(answer.target);
  const most = Math.max(...rows.map((row) => row.pmi));
  $("classes").replaceChildren(...rows.map((row) => classRow(row, most, chosen)));
  for (const unit of document.querySelectorAll(".unit")) unit.textContent = answer.units;
}

// The mask in one colour, transparent elsewhere.
async function paintMask(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = $("mask");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    pixels.data[i + 3] = pixels.data[i];
    pixels.data.set([0xff, 0x3d, 0x7f], i);
  }
  context.putImageData(pixels, 0, 0);
}

async function showMask(answer) {
  const mask = blobOf(answer.mask.png, "image/png");
  await paintMask(mask);
  $("mask-download").href = urlFor($("mask-download"), mask);
  $("overlay").src = urlFor($("overlay"), blobOf(answer.pictures.overlay, "image/png"));
  $("mask-caption").textContent = answer.mask.empty
    ? `Nothing in the picture speaks for ${answer.target.label} (${number(answer.target.pmi)} ${answer.units}).`
    : `${answer.target.label}, ${number(answer.target.pmi)} ${answer.units}: ${percent(answer.mask.area)} of the picture` +
      ` holds ${percent(answer.mask.information_share)} of the information.`;
}

function showFiltered(answer) {
  const type = answer.image_type || "image/png";
  const url = urlFor($("filtered"), blobOf(answer.image, type));
  const v = answer.verification;
  $("filtered").src = url;
  $("filter-download").href = url;
  $("filter-caption").textContent = v.passes === 0
    ? "Nothing was removed: the picture is unchanged."
    : `Seen again by the network: ${number(v.pmi_before)} → ${number(v.pmi_after)} ${answer.units} about ` +
      `${answer.target.label}, now rank ${v.rank_after}; ${percent(v.area)} of the picture was replaced.`;
}

function showLayer() {
  const layer = document.querySelector("input[name=layer]:checked").value;
  const opacity = $("opacity").value / 100;
  $("mask").hidden = layer !== "mask";
  $("overlay").hidden = layer !== "overlay";
  $("mask").style.opacity = opacity;
  $("overlay").style.opacity = opacity;
}

// ---- The steps ----------------------------------------------------------------------------------------------------

// Runs `step` as the newest question; an older one that still waits is called off.
async function newest(step) {
  if (!state.photo) return;
  const turn = ++state.turn;
  if (state.abort) state.abort.abort();
  state.abort = new AbortController();
  complain("");
  $("results").classList.add("busy");
  $("results").setAttribute("aria-busy", "true");
  try {
    await step(() => turn !== state.turn);
    if (turn === state.turn) say("Done.");
  } catch (error) {
    if (turn !== state.turn || error.name === "AbortError") return;
    say("");
    complain(error.message);
  } finally {
    if (turn === state.turn) {
      $("results").classList.remove("busy");
      $("results").setAttribute("aria-busy", "false");
    }
  }
}

async function maskAndFilter(stale, chosen) {
  const parameters = {target: chosen, method: $("method").value, quality: $("quality").value};
  say("Looking where it is …");
  const mask = await post("/v1/mask", {...parameters, format: "json", output: "overlay"});
  if (stale()) return;
  await showMask(mask);
  say("Filtering …");
  const fill = $("fill").value === "color" ? $("color").value : $("fill").value;
  const filtered = await post("/v1/filter", {...parameters, mode: $("mode").value, fill, format: "json"});
  if (stale()) return;
  showFiltered(filtered);
}

function analyse() {
  return newest(async (stale) => {
    say("Classifying …");
    const wanted = target();
    const answer = await post("/v1/classify", {top_k: String(Math.min(8, $("labels").options.length || 8)), target: wanted});
    if (stale()) return;
    const chosen = answer.target ? answer.target.index : answer.predictions[0].index;
    showTotals(answer);
    showClasses(answer, chosen);
    $("results").hidden = false;
    await maskAndFilter(stale, String(chosen));
  });
}

function take(blob) {
  if (!blob) return;
  state.photo = blob;
  $("photo").src = urlFor($("photo"), blob);
  $("target").value = "";
  analyse();
}

// ---- Models -------------------------------------------------------------------------------------------------------

function option(text, index) {
  const element = document.createElement("option");
  element.value = text;
  element.textContent = text;
  if (index !== undefined) element.dataset.index = index;
  return element;
}

async function loadLabels() {
  const chosen = state.models.find((model) => model.name === $("model").value);
  $("method").replaceChildren(...chosen.methods.map((method) => option(method)));
  const answer = await ask(`/v1/models/${encodeURIComponent(chosen.name)}/labels`);
  $("labels").replaceChildren(...answer.labels.map((row) => option(row.label, row.index)));
}

async function loadModels() {
  try {
    const answer = await ask("/v1/models");
    state.models = answer.models;
    $("model").replaceChildren(...answer.models.map((model) => option(model.name)));
    $("model").value = answer.default;
    await loadLabels();
  } catch (error) {
    complain(error.message);
  }
}

// ---- What the user does -------------------------------------------------------------------------------------------

function listen() {
  const drop = $("drop");
  $("file").addEventListener("change", () => take($("file").files[0]));
  for (const name of ["dragenter", "dragover"])
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const item = [...event.clipboardData.items].find((one) => one.kind === "file" && one.type.startsWith("image/"));
    if (item) take(item.getAsFile());
  });
  $("form").addEventListener("submit", (event) => event.preventDefault());
  $("form").addEventListener("change", async (event) => {
    $("color-label").hidden = $("fill").value !== "color";
    if (event.target === $("model")) {
      $("target").value = "";
      try {
        await loadLabels();
      } catch (error) {
        complain(error.message);
      }
    }
    analyse();
  });
  for (const radio of document.querySelectorAll("input[name=layer]")) radio.addEventListener("change", showLayer);
  $("opacity").addEventListener("input", showLayer);
}

$("origin").textContent = location.origin;
listen();
showLayer();
loadModels();
