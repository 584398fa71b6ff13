// What is told beside the picture: the sentence, the thermometer, the classes, the verdict, the curve.
import {$, element, nats, bits, figure, percent, times, oneIn, sentence as remark} from "./format.js";
import {colorOf, said, scaleOf} from "../info-mask.js";

/** One sentence that is exact: exp(PMI) = p(y|x) / p(y). */
export function showSentence(row, prior, map) {
  const ratio = Math.exp(row.pmi), p = row.probability, base = p / ratio, name = element("em", {text: `“${row.label}”`});
  const loud = row.pmi >= 0
    ? ["The photo makes ", name, ` ${times(ratio)} times likelier than a blind guess`]
    : ["The photo makes ", name, ` ${times(1 / ratio)} times less likely than a blind guess`];
  $("sentence").replaceChildren(...loud);
  const guess = `A blind guess${prior === "uniform" || prior === "train" ? "" : " under the prior you gave"} is right ${oneIn(base)}`;
  const told = row.pmi >= 0 ? `${nats(row.pmi)} nats, or ${bits(row.pmi)} yes/no questions answered`
    : `${nats(row.pmi)} nats: it speaks against the name, as ${bits(-row.pmi)} yes/no questions answered wrongly`;
  $("exactly").textContent = `${guess}; with this photo the network gives it ${percent(p)}. The logarithm of that ratio is the information: ${told}.`;
  const most = -Math.log(base);
  thermometer(row.pmi, most);
  const whole = map?.pmi ?? null;
  $("thermometer-says").textContent = `${nats(row.pmi)} of at most ${nats(most)} nats (certainty)` +
    (whole === null ? "." : ` in the model's centre crop; ${nats(whole)} in the whole photo (the map).`);
  $("nat-worked").textContent = `Before looking, “${said(row.label)}” has the chance ${percent(base)}. The network gives it ${percent(p)} now: the photo made it ` +
    `${row.pmi >= 0 ? `${figure(ratio)} times likelier, and log` : `${figure(1 / ratio)} times less likely, and −log`} ${figure(Math.exp(Math.abs(row.pmi)))} = ${nats(row.pmi)} nats. ` +
    `Certainty would be ${nats(most)}: nothing can say more.`;
  $("saying").hidden = false;
}

const svg = (tag, props, ...children) => element(tag, {svg: true, ...props}, ...children);

function thermometer(value, most) {
  const low = Math.min(0, value), wide = (most - low) || 1, x = (at) => 4 + 312 * (at - low) / wide;
  const box = $("thermometer").querySelector("svg");
  box.replaceChildren(
    svg("rect", {class: "track", x: x(low), y: 4, width: x(most) - x(low), height: 10, rx: 5}),
    svg("rect", {class: "level", x: Math.min(x(0), x(value)), y: 4, width: Math.max(2, Math.abs(x(value) - x(0))), height: 10, rx: 5}),
    svg("line", {class: "tick", x1: x(0), x2: x(0), y1: 0, y2: 18}), svg("line", {class: "tick", x1: x(most), x2: x(most), y1: 0, y2: 18}));
}

/** The rows, made once a photo; later only which of them is chosen changes, so that focus stays. */
export function showClasses(rows, choose) {
  const most = Math.max(1e-9, ...rows.map((row) => row.pmi));
  $("classes").replaceChildren(...rows.map((row) => {
    const bar = element("span", {class: "bar"});
    bar.style.setProperty("--much", `${100 * Math.max(0, row.pmi) / most}%`);
    return element("li", {}, element("button", {class: "class", type: "button", "data-key": row.key, onclick: () => choose(row)},
      element("span", {text: row.label}), bar, element("span", {class: "nats", text: `${nats(row.pmi)} nats`, title: percent(row.probability)})));
  }));
  $("classes-card").hidden = false;
}
export function markClass(key) {
  for (const button of $("classes").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.key === key));
}

/** The map's scale: from its lowest to its highest square, both on the one scale of the picture. */
export function showLegend(cells, mean, rather) {
  const all = cells.flat(), scale = scaleOf(cells), low = Math.min(0, ...all), high = Math.max(0, ...all);
  const canvas = $("legend-scale"), context = canvas.getContext("2d");
  const line = context.createImageData(canvas.width, 1);
  for (let x = 0; x < canvas.width; x++) {
    const [r, g, b, a] = colorOf((low + (high - low) * x / canvas.width) / scale);
    line.data.set([r, g, b, 255 * a], 4 * x);
  }
  for (let y = 0; y < canvas.height; y++) context.putImageData(line, 0, y);
  const zero = Math.round((0 - low) / ((high - low) || 1) * (canvas.width - 2));
  context.fillStyle = "#fff";
  context.fillRect(zero, 0, 2, canvas.height);
  $("legend-low").textContent = nats(low);
  $("legend-high").textContent = `${nats(high)} nats a square; mean ${nats(mean)}${rather}`;
  canvas.setAttribute("aria-label", `Scale of the map: blue speaks against, down to ${nats(low)}; bright speaks for, up to ${nats(high)} nats`);
  $("legend").hidden = false;
}

// ---- Verdict --------------------------------------------------------------------------------------------------------

const WORDS = {
  removed: ["✓ Gone", (t, v) => (v.pmi_after < 0 ? `asked again, the network finds “${t}” less likely than a blind guess` : `asked again, the network no longer finds “${t}” in its place`)],
  weakened: ["◐ Weaker, not gone", (t) => `something still says “${t}”`],
  failed: ["✕ Not gone", (t) => `asked again, the network still finds “${t}”`],
  absent: ["Not found", (t) => `no place in the picture says enough for “${t}”: it is as it was`],
  kept: ["Kept", (t) => `only what speaks for “${t}” is left`],
  nothing: ["Nothing to take away", (t) => `no place in the picture says enough for “${t}”`],
  stopped: ["Nothing taken away", (t, v) => v.reason],
};

/** before and after are of the very file that is downloaded. */
export function showVerdict(answer, target, {mode}) {
  const rows = [].concat(answer.verification), v = rows[0], passes = Math.max(...rows.map((row) => row.passes));
  const stays = mode === "keep" || mode === "cutout";
  const unknown = stays ? (answer.mask?.empty ? "absent" : "kept") : v.area === 0 ? (["", "nothing to remove"].includes(v.reason ?? "") ? "nothing" : "stopped") : v.pmi_before > 0 && !v.verdict ? "weakened" : "nothing";
  const verdict = v.verdict ?? unknown, [word, sentence] = WORDS[verdict] ?? WORDS.failed, name = said(target);
  $("verdict").dataset.verdict = verdict;
  $("verdict-title").textContent = `${word}: ${sentence(name, v)}`;
  $("verdict-says").textContent = `${nats(v.pmi_before)} → ${nats(v.pmi_after)} nats on the very file you download; ${percent(v.area)} of the photo replaced` +
    `${passes > 1 ? `, in ${passes} rounds` : ""}.` +
    (v.random_area_pmi_after === null || v.area === 0 || verdict === "kept" ? "" : ` Painting over a random patch of that size leaves ${nats(v.random_area_pmi_after)}.`);
  $("verdict-reason").textContent = v.reason ? remark(v.reason) : "";
  const change = (a, b) => `${nats(a)} → ${nats(b)}`;
  const lines = [
    ["The file you download says (nats)", change(v.pmi_before, v.pmi_after)],
    ["Its probability", `${percent(v.probability_before)} → ${percent(v.probability_after)}`],
    ["Its rank among all names now", v.rank_after],
    v.region_pmi_after === undefined ? null : ["The place itself says (nats)", change(v.region_pmi_before, v.region_pmi_after)],
    v.context_pmi_after === undefined ? null : ["Its surroundings say (nats)", change(v.context_pmi_before, v.context_pmi_after)],
    v.map_pmi_after === null ? null : ["The whole photo says (nats)", change(v.map_pmi_before, v.map_pmi_after)],
    v.random_area_pmi_after === null || v.area === 0 || verdict === "kept" ? null : ["A random patch of that size leaves (nats)", `${nats(v.random_area_pmi_after)}`],
    ["Replaced", `${percent(v.area)} of the photo${passes > 1 ? `, in ${passes} rounds` : ""}`],
    answer.fill ? ["Filled by", answer.fill_reason ? `${answer.fill}: ${answer.fill_reason}` : answer.fill] : null,
  ];
  $("verdict-figures").replaceChildren(...lines.filter(Boolean).flatMap(([name, value]) => [element("dt", {text: name}), element("dd", {text: value})]));
  $("verdict").hidden = false;
  return `${word}: ${sentence(name, v)}`;
}

/** Share taken, nats left: the points asked so far. */
export function showCurve(points, before) {
  const box = $("curve").querySelector("svg"), sorted = [...points].sort((a, b) => a.share - b.share);
  const low = Math.min(0, ...sorted.map((p) => p.after)), high = Math.max(before, ...sorted.map((p) => p.after), low + .1);
  const x = (share) => 34 + 276 * share, y = (value) => 8 + 66 * (high - value) / (high - low);
  const all = [{share: 0, after: before}, ...sorted];
  box.replaceChildren(svg("line", {class: "axis", x1: x(0), x2: x(1), y1: y(0), y2: y(0)}), svg("line", {class: "axis", x1: x(0), x2: x(0), y1: 8, y2: 74}),
    svg("polyline", {class: "drawn", points: all.map((p) => `${x(p.share)},${y(p.after)}`).join(" ")}),
    ...all.map((p) => svg("circle", {class: "dot", cx: x(p.share), cy: y(p.after), r: 3.5})),
    svg("text", {x: 2, y: 14}, nats(high)), svg("text", {x: 2, y: Math.min(86, y(0) + 3)}, "0"), svg("text", {x: x(1) - 22, y: 87}, "100 %"), svg("text", {x: x(0), y: 87}, "0 %"));
  $("curve-says").textContent = `Share of its information that was taken, and the nats that are left when asked again: ` +
    all.map((p) => `${Math.round(100 * p.share)} % → ${nats(p.after)}`).join(", ");
  $("curve").hidden = false;
}
