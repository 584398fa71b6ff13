// Several photos: a strip of thumbnails with their nats; and, where folders name the classes, their mutual information.
import {$, element, nats, percent} from "./format.js";
import {readable} from "./photos.js";

const AT_ONCE = 2;    // as many as the service is likely to have cores for

/** The class that a photo's folder names; "" without one. */
const labelOf = (path) => path.split("/").slice(-2, -1)[0] ?? "";

export class Folder {
  #photos = [];
  #turn = 0;
  #estimate = null;   // {id, client}
  #abort = null;      // of looking
  #measuring = null;  // of measuring

  /** photos: [{file, path}]. open(photo) shows one; asking(signal) gives a client. */
  constructor(open) { this.open = open; }
  get size() { return this.#photos.length; }

  clear() {
    this.#turn++;
    this.#abort?.abort();
    this.#forget();
    this.#photos = [];
    this.#stopped();
    $("strip").hidden = $("folder-card").hidden = true;
    $("strip").replaceChildren();
    $("estimate").replaceChildren();
  }

  fill(files, client, model) {
    this.clear();
    this.#photos = files.map(({file, path}) => ({file, path, label: labelOf(path), top: null, error: null}));
    $("strip").hidden = false;
    $("strip").replaceChildren(...this.#photos.map((photo, i) => this.#thumbnail(photo, i)));
    return this.#lookAt(this.#photos, client, model);
  }

  /** Looks at them once more: with another model, or with a key; failed: only at those that could not be looked at. */
  again(client, model, failed = false) {
    const photos = this.#photos.filter((photo) => !failed || !photo.top);
    if (!photos.length) return;
    this.#turn++;
    this.#abort?.abort();
    this.#forget();
    this.#stopped();
    $("estimate").replaceChildren();
    for (const photo of photos) {
      Object.assign(photo, {top: null, error: null});
      photo.says.textContent = "…";
      photo.button.title = "";
    }
    return this.#lookAt(photos, client, model);
  }

  async #lookAt(photos, client, model) {
    const turn = this.#turn, {signal} = this.#abort = new AbortController();
    this.#tell(model);
    const next = photos.values(), work = async () => {
      for (const photo of next) {
        if (turn !== this.#turn) return;
        await this.#look(photo, client, model, signal, turn);
      }
    };
    await Promise.all(Array.from({length: AT_ONCE}, work));
  }

  #thumbnail(photo, i) {
    const picture = element("img", {alt: "", loading: "lazy"}), name = element("b", {text: photo.file.name}), says = element("span", {text: "…"});
    photo.button = element("button", {type: "button", onclick: () => { this.mark(i); this.open(photo); }}, picture, name, says);
    photo.picture = picture;
    photo.says = says;
    return element("div", {role: "listitem"}, photo.button);
  }
  mark(i) { this.#photos.forEach((photo, k) => photo.button.setAttribute("aria-current", String(k === i))); }

  async #look(photo, client, model, signal, turn) {
    try {
      const {blob} = await readable(photo.file);
      await shrink(blob, photo.picture);
      const answer = await client.classify(blob, {model, top_k: 1}, {signal});
      if (turn !== this.#turn) return;
      photo.top = answer.predictions[0];
      photo.says.textContent = `${photo.top.label}, ${nats(photo.top.pmi)} nats`;
    } catch (error) {
      if (turn !== this.#turn) return;
      photo.error = error.message;
      photo.says.textContent = "not read";
      photo.button.title = error.message;
    }
    this.#tell(model);
  }

  #tell(model) {
    const seen = this.#photos.filter((photo) => photo.top), failed = this.#photos.filter((photo) => photo.error);
    const labelled = this.#photos.filter((photo) => photo.label).length;
    const mean = seen.reduce((sum, photo) => sum + photo.top.pmi, 0) / (seen.length || 1);
    $("folder-card").hidden = false;
    $("folder-title").textContent = `${this.#photos.length} photos`;
    $("folder-says").textContent = `${seen.length} of them looked at: ${nats(mean)} nats for the best name on average` +
      `${failed.length ? `; ${failed.length} could not be read (${failed[0].error})` : ""}.` +
      (labelled ? ` ${labelled} lie in folders: measure how much the photos tell of the names of their folders.`
        : " In folders that are named by their class, the mutual information of photos and classes can be measured.");
    $("measure").hidden = !labelled;
    this.model = model;
  }

  // ---- Mutual information ---------------------------------------------------------------------------------------------

  #forget() {
    this.#measuring?.abort();
    if (this.#estimate) this.#estimate.client.deleteEstimate(this.#estimate.id).catch(() => {});
    this.#estimate = null;
  }

  async measure(client) {
    this.#forget();
    const photos = this.#photos.filter((photo) => photo.label), turn = this.#turn, {signal} = this.#measuring = new AbortController();
    const unknown = new Map();
    let done = 0, told = 0;
    $("measure-stop").hidden = false;
    $("measure-stop").focus();
    $("measure").hidden = true;
    $("measure-stop").onclick = () => this.#measuring.abort();
    try {
      const made = await client.createEstimate({model: this.model, name: "the web page"});
      if (signal.aborted) return client.deleteEstimate(made.id).catch(() => {});
      this.#estimate = {...made, client};
      for (const photo of photos) {
        const {blob} = await readable(photo.file).catch(() => ({blob: photo.file}));
        const answer = await client.addSample(made.id, blob, photo.label, photo.path, {signal})
          .catch((error) => { if (signal.aborted || ![400, 404, 409, 413, 415, 422].includes(error.status)) throw error; return {rejected: [{detail: error.message}]}; });
        for (const one of answer.rejected) unknown.set(photo.label, one.detail);
        done++;
        if (turn !== this.#turn) return;
        if (performance.now() - told > 500 || done === photos.length) {
          this.#show(await client.estimate(made.id, {suspects: 5}, {signal}).catch(() => client.estimate(made.id, {}, {signal})), done, photos.length, unknown);
          told = performance.now();
        }
      }
    } catch (error) {
      if (!signal.aborted) $("estimate").append(element("p", {text: error.message, role: "alert"}));
    } finally {
      if (turn === this.#turn) this.#stopped();
    }
  }

  #stopped() {
    const had = document.activeElement === $("measure-stop");
    $("measure").hidden = false;
    $("measure-stop").hidden = true;
    if (had) $("measure").focus();
  }

  #show(answer, done, all, unknown) {
    const mi = answer.mutual_information, limit = mi?.lower_limit;
    const lines = [
      ["Photos counted", `${answer.samples} (${done} of ${all} sent)`],
      ["Mutual information", mi?.estimate === undefined || mi === null ? "more photos are needed" : `${nats(mi.estimate)} ± ${nats(mi.standard_error)} nats`],
      ["… at least, with 97.5 % confidence", limit === undefined || limit === null ? "–" : `${nats(limit)} nats`],
      ["Entropy of the names", `${nats(answer.label_entropy)} nats`],
      ["Right", answer.accuracy === null ? "–" : percent(answer.accuracy)],
      ["Error of its confidence (ECE)", answer.calibration?.ece === undefined || answer.calibration === null ? "–" : percent(answer.calibration.ece)],
    ];
    const suspects = (answer.suspects ?? []).slice(0, 5);
    $("estimate").replaceChildren(
      element("h3", {text: `The mutual information of your ${answer.samples} labelled photos so far`}),
      element("dl", {}, ...lines.flatMap(([name, value]) => [element("dt", {text: name}), element("dd", {text: value})])),
      ...(suspects.length ? [element("h3", {text: "Perhaps in the wrong folder"}), element("ul", {}, ...suspects.map((one) =>
        element("li", {text: `${one.sample ?? "a photo"}: said to be ${one.label}, looks like ${one.predicted} (${nats(one.pmi)} nats)`})))] : []),
      ...(unknown.size ? [element("p", {class: "quiet", text: `Not counted: ${[...unknown].map(([label, why]) => `${label} (${why})`).slice(0, 3).join("; ")}`})] : []),
      ...(answer.warnings ?? []).slice(0, 2).map((warning) => element("p", {class: "quiet", text: warning})));
  }
}

// Thumbnails are drawn small: forty photos of twelve megapixels would not fit into a phone's memory.
async function shrink(blob, picture) {
  const bitmap = await createImageBitmap(blob, {resizeWidth: 208, resizeQuality: "medium"}).catch(() => null);
  if (!bitmap) return;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const url = URL.createObjectURL(await canvas.convertToBlob({type: "image/jpeg", quality: .8}));
  picture.onload = () => URL.revokeObjectURL(url);
  picture.src = url;
}
