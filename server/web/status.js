// The status view: traffic, latency and information drift, from what the daemon counts anyway.
import {$, element, nats, percent} from "./format.js";

const SECONDS = 2;
let timer = null, before = null;

/** The value of a line of /metrics; a sum over all lines of that name. */
const total = (metrics, name, with_ = "") => metrics.split("\n").filter((line) => line.startsWith(name) && (line[name.length] === " " || line[name.length] === "{") && line.includes(with_))
  .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);

async function read(client, model) {
  const [ready, metrics, information] = await Promise.all([
    client.json("GET", "readyz").catch((error) => ({status: error.message})),
    client.request("GET", "metrics", {}, {accept: "text/plain"}).then((answer) => answer.text()).catch(() => ""),
    client.json("GET", `v1/models/${encodeURIComponent(model)}/information`).catch(() => null)]);
  return {at: performance.now(), ready, metrics, information};
}

/** "2026-01-02T03:00Z" in one piece, where a line is broken. */
const hour = (since) => since.replace("T", " ").replace(/Z$/, " UTC").replaceAll("-", "\u2011").replaceAll(" ", "\u00a0");
/** "tabby: 0.1 % to 5.3 % since 2026-01-02 03:00 UTC" */
const moved = ({what, label, before, after, since}) => what === "class"
  ? `${label}: ${percent(before)} to ${percent(after)} since ${hour(since)}` : `${what}: ${nats(before)} to ${nats(after)} nats since ${hour(since)}`;

/** The information of each hour of the week, as a line; null: not two hours yet. */
function line(history = []) {
  if (history.length < 2) return null;
  const [width, height] = [336, 48], hours = history.map(({from}) => Date.parse(from) / 3600000), values = history.map(({information}) => information);
  const low = Math.min(...values), high = Math.max(...values, low + 1e-9), last = hours.at(-1);
  const points = values.map((value, k) => `${(width - 2 * (last - hours[k])).toFixed(0)},${(height - 2 - (height - 4) * (value - low) / (high - low)).toFixed(1)}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "polyline");
  for (const [name, value] of Object.entries({viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Information by hour, ${nats(low)} to ${nats(high)} nats`})) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5})) path.setAttribute(name, value);
  svg.append(path);
  return svg;
}

/** What /metrics counts; where it is not to be had (a key, a proxy, nobody there), no zeros of our own. */
function traffic(now) {
  if (!now.metrics) return [["Requests, latency", "not told here"]];
  const count = (data) => total(data.metrics, "infomask_requests_total"), since = before?.metrics ? (now.at - before.at) / 1000 : 0;
  const asked = since ? count(now) - count(before) : -1, number = total(now.metrics, "infomask_request_seconds_count"); // below 0: it was started anew
  return [["Requests since it was started", count(now).toLocaleString("en")],
    ["Requests a second, now", asked >= 0 ? (asked / since).toFixed(1) : "–"],
    ["Time a request, mean", number ? `${(1000 * total(now.metrics, "infomask_request_seconds_sum") / number).toFixed(1)} ms` : "–"],
    ["In flight, waiting", `${total(now.metrics, "infomask_in_flight")}, ${total(now.metrics, "infomask_queue_waiting")}`]];
}

function rows(now) {
  const i = now.information;
  return [
    ["The service", now.ready.status === "ok" || now.ready.status === "ready" ? "ready" : now.ready.status],
    ...traffic(now),
    ...(i ? [["Photos that the model has seen", i.total.toLocaleString("en")], ["Information, mean of the last photos", `${nats(i.information)} ± ${nats(i.standard_error)} nats`],
      ["Drift against labelled photos", i.alarm === null || i.z === null ? "no labelled photos to compare with" : `z = ${i.z.toFixed(1)}: ${i.alarm ? "alarm" : "none"}`]] : []),
    ...(i?.drift ? [["What has moved within the week", i.drift.moved.length ? i.drift.moved.slice(0, 5).map(moved).join("\n") : "nothing"]] : []),
    ...(i?.prior_shift ? [["The mix of classes", i.prior_shift.alarm ? "has shifted" : "as in training"]] : []),
  ];
}

/** Opens the view, and asks again every two seconds until it is closed. */
export async function showStatus(client, model) {
  const view = $("status-view");
  if (!view.open) {
    if (!before) $("status-body").textContent = "Asking the service …";
    view.showModal();
  }
  const now = await read(client, model);
  const week = line(now.information?.drift?.history);
  $("status-body").replaceChildren(element("dl", {}, ...rows(now).flatMap(([name, value]) => [element("dt", {text: name}), element("dd", {text: value})]),
    ...(week ? [element("dt", {text: "Information, the week by hours"}), element("dd", {}, week)] : [])));
  before = now;
  clearTimeout(timer);
  if (view.open) timer = setTimeout(() => { if (view.open) showStatus(client, model); }, 1000 * SECONDS);
}
