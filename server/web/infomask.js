// infomask from a page or from Node: one module without dependencies.
//   import {Infomask} from "https://photos.example/infomask.js";
//   const answer = await new Infomask().classify(file, {top_k: 3}, {signal, progress, waiting});

/** A photo: what fetch takes as a body. @typedef {Blob | ArrayBuffer | Uint8Array} Photo */
/** Parameters by the names that docs/api.md gives them; an array gives one several times; `mask` is a picture.
 * @typedef {Record<string, string | number | boolean | Blob | undefined | null | Array<string | number>>} Parameters */
/** What may go along with a question.
 * @typedef {object} Options
 * @property {AbortSignal} [signal] calls it off, also while it waits
 * @property {(share: number) => void} [progress] of the upload, 0 to 1 (in browsers)
 * @property {(seconds: number, attempt: number) => void} [waiting] the service is busy; it is asked again by itself
 * @property {string} [accept] media type of the answer, for `request` */

/** A refusal. `message` is the service's sentence, `code` its stable word ("" where nothing answered). */
export class InfomaskError extends Error {
  /** @param {number} status @param {{detail?: string, error?: string, code?: string}} problem @param {number} retryAfter */
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.error || (status ? `The service answered ${status}.` : "The service does not answer."));
    this.name = "InfomaskError";
    this.status = status;
    this.code = problem.code || "";
    this.retryAfter = retryAfter;
  }
}

/** Waits, unless it is called off. @param {number} seconds @param {AbortSignal} [signal] @returns {Promise<void>} */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, 1000 * seconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, {once: true});
  });
}

/** fetch tells nothing of an upload's progress; XMLHttpRequest does.
 * @returns {Promise<Response>} */
function sendWatched(url, {method, headers, body, signal}, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => { request.abort(); reject(signal.reason); };
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", stop, {once: true});
    request.open(method, url);
    request.responseType = "arraybuffer"; // a blob would be read a second time, from another process
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => { if (event.lengthComputable) progress(event.loaded / event.total); };
    request.onerror = () => reject(new TypeError("network error"));
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    request.onload = () => {
      const lines = request.getAllResponseHeaders().trim().split("\r\n").filter(Boolean);
      const pairs = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]);
      const empty = [204, 205, 304].includes(request.status);
      resolve(new Response(empty ? null : request.response, {status: request.status, headers: pairs}));
    };
    request.send(body);
  });
}

/** The bytes of base64 as a picture. @param {string} base64 @param {string} type @returns {Blob} */
export function blobOf(base64, type = "image/png") {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], {type});
}

/** The body of a question about photos: the photo as it is, or a form where there is more to send. */
function bodyOf(photos, parameters) {
  const several = Array.isArray(photos) ? photos : [photos];
  if (several.length === 1 && !parameters.mask) return several[0];
  const form = new FormData();
  for (const photo of several) form.append("image", photo instanceof Blob ? photo : new Blob([photo]), photo.name || "photo");
  if (parameters.mask) form.append("mask", parameters.mask, "mask.png");
  return form;
}

export class Infomask {
  /** @param {string | URL} [server] where the service is, by default where this module came from
   * @param {{key?: string, retries?: number}} [settings] key: an API key; retries: how often a busy service is asked again */
  constructor(server = new URL(".", import.meta.url), {key = "", retries = 4} = {}) {
    this.server = new URL(String(server).replace(/\/*$/, "/"), globalThis.document?.baseURI ?? import.meta.url);
    this.key = key;
    this.retries = retries;
  }

  /** @param {string} path "v1/classify" @param {Parameters} [parameters] @returns {URL} */
  url(path, parameters = {}) {
    const url = new URL(path, this.server);
    for (const [name, value] of Object.entries(parameters))
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined && one !== null && one !== "" && !(one instanceof Blob)) url.searchParams.append(name, String(one));
    return url;
  }

  /** One question; a 503 with Retry-After is asked again. @param {string} method @param {string} path
   * @param {{parameters?: Parameters, body?: BodyInit, type?: string}} [question] @param {Options} [options]
   * @returns {Promise<Response>} an answer that is fine */
  async request(method, path, {parameters, body, type} = {}, {signal, progress, waiting, accept = "application/json"} = {}) {
    const headers = {Accept: accept};
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    if (body && !(body instanceof FormData)) headers["Content-Type"] = type || "application/octet-stream";
    const url = this.url(path, parameters), watched = progress && body && typeof XMLHttpRequest !== "undefined";
    for (let attempt = 1; ; attempt++) {
      const asked = {method, headers, body, signal};
      const response = await (watched ? sendWatched(url, asked, progress) : fetch(url, asked)).catch((error) => {
        throw error instanceof TypeError ? new InfomaskError(0, {}, 0) : error;
      });
      if (response.ok) return response;
      const problem = await response.json().catch(() => ({})), seconds = Number(response.headers.get("Retry-After")) || 0;
      if (response.status !== 503 || !seconds || attempt > this.retries) throw new InfomaskError(response.status, problem, seconds);
      waiting?.(seconds, attempt);
      await pause(seconds, signal);
    }
  }

  /** The same, as JSON. */
  async json(method, path, question, options) {
    const response = await this.request(method, path, question, options);
    return response.status === 204 ? null : response.json();
  }

  /** @param {Photo | Photo[]} photos @param {Parameters} [parameters] @param {Options} [options] */
  ask(route, photos, parameters = {}, options) {
    return this.json("POST", `v1/${route}`, {parameters, body: bodyOf(photos, parameters)}, options);
  }
  classify(photos, parameters, options) { return this.ask("classify", photos, parameters, options); }
  mask(photo, parameters, options) { return this.ask("mask", photo, {...parameters, format: "json"}, options); }
  analyze(photo, parameters, options) { return this.ask("analyze", photo, parameters, options); }
  /** `image` of the answer is a Blob. */
  async filter(photo, parameters, options) {
    const answer = await this.ask("filter", photo, {...parameters, format: "json"}, options);
    return {...answer, image: blobOf(answer.image, answer.image_type)};
  }

  models(options) { return this.json("GET", "v1/models", {}, options); }
  labels(model, options) { return this.json("GET", `v1/models/${encodeURIComponent(model)}/labels`, {}, options); }
  createEstimate(request = {}, options) {
    return this.json("POST", "v1/estimates", {body: JSON.stringify(request), type: "application/json"}, options);
  }
  addSample(id, photo, label, sample, options) {
    return this.json("POST", `v1/estimates/${id}/samples`, {parameters: {label, sample}, body: photo}, options);
  }
  estimate(id, parameters, options) { return this.json("GET", `v1/estimates/${id}`, {parameters}, options); }
  deleteEstimate(id, options) { return this.json("DELETE", `v1/estimates/${id}`, {}, options); }
}
