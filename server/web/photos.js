// Photos on their way in: chosen, dropped (folders too), pasted, taken; what they are by their first bytes.
import {$} from "./format.js";
import {InfomaskError} from "../infomask.js";

/** Photos of ours, by their names. */
export const SAMPLES = ["coffee", "chelsea", "rocket"];

export async function fetchSample(name) {
  const answer = await fetch(`web/${name}.jpg`).catch(() => null);
  if (!answer?.ok) throw new InfomaskError(answer?.status ?? 0, {}, 0);
  return answer.blob();
}

const TYPES = [
  ["JPEG", (b) => b[0] === 0xff && b[1] === 0xd8], ["PNG", (b) => text(b, 1, 3) === "PNG"],
  ["WebP", (b) => text(b, 0, 4) === "RIFF" && text(b, 8, 4) === "WEBP"], ["GIF", (b) => text(b, 0, 3) === "GIF"],
  ["AVIF", (b) => text(b, 4, 4) === "ftyp" && /^avi[fs]/.test(text(b, 8, 4))],
  ["HEIC", (b) => text(b, 4, 4) === "ftyp" && /^(hei|hev|mif1|msf1)/.test(text(b, 8, 4))],
  ["TIFF", (b) => /^(II\*|MM)/.test(text(b, 0, 3))], ["BMP", (b) => text(b, 0, 2) === "BM"], ["SVG", (b) => /<svg|<\?xml/.test(text(b, 0, 32))],
];
const text = (bytes, from, size) => String.fromCharCode(...bytes.slice(from, from + size));

export async function kindOf(blob) {
  const bytes = new Uint8Array(await blob.slice(0, 32).arrayBuffer());
  return TYPES.find(([, fits]) => fits(bytes))?.[0] ?? null;
}

/** A WebP of several pictures: the service takes still ones. */
async function moves(blob) {
  const bytes = new Uint8Array(await blob.slice(0, 32).arrayBuffer());
  return text(bytes, 12, 4) === "VP8X" && (bytes[20] & 2) !== 0;
}

/** What this browser makes of it; of drawings only elements do. */
async function decoded(blob, kind) {
  if (kind !== "SVG") return createImageBitmap(blob);
  const picture = new Image(), url = URL.createObjectURL(new Blob([blob], {type: "image/svg+xml"}));
  picture.src = url;
  await picture.decode().finally(() => URL.revokeObjectURL(url));
  const scale = Math.max(1, 512 / Math.max(picture.width, picture.height)); // lines have no pixels of their own
  return createImageBitmap(picture, {resizeWidth: Math.round(picture.width * scale), resizeHeight: Math.round(picture.height * scale)});
}

/** The photo as the service takes it: JPEG, PNG and still WebP as they are, others as PNG where this browser reads them.
 * @returns {{blob, note}} note: what was done to it, "" for nothing */
export async function readable(blob) {
  if (blob.size === 0) throw new Error(`${blob.name || "The file"} is empty.`);
  const found = await kindOf(blob), kind = found === "WebP" && await moves(blob) ? "moving WebP" : found;
  if (["JPEG", "PNG", "WebP"].includes(kind)) return {blob, note: ""};
  const what = kind ? `${/^(AVIF|SVG)/.test(kind) ? "an" : "a"} ${kind} picture` : "no picture that is known here";
  try {
    const bitmap = await decoded(blob, kind), canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    const png = await canvas.convertToBlob({type: "image/png"});
    return {blob: png, note: `${kind ? `This is ${what}; it is` : "It is"} sent as PNG${/GIF|moving/.test(kind) ? ", its first frame" : ""}.`};
  } catch {
    throw new Error(`${blob.name || "The file"} is ${what}${kind ? ", which this browser can't read. Save it as JPEG or PNG" : ": the service takes JPEG, PNG and WebP"}.`);
  }
}

async function walk(entry, path, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    found.push({file, path: path + entry.name});
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) return;
    for (const one of some) await walk(one, `${path}${entry.name}/`, found);
  }
}
const seemsPhoto = ({file}) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|heic|heif|avif|gif)$/i.test(file.name);

/** Everything that was dropped, folders walked through: [{file, path}], hidden files and others than pictures left out. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), found = [];
  if (!entries.length) return [...transfer.files].map((file) => ({file, path: file.name}));
  for (const entry of entries) await walk(entry, "", found);
  const photos = found.filter((one) => seemsPhoto(one) && !one.file.name.startsWith("."));
  return (photos.length ? photos : found).sort((a, b) => a.path.localeCompare(b.path));
}

/** Calls take([{file, path}]) for whatever way photos come in. */
export function listenForPhotos(take) {
  const chosen = (input) => {
    const files = [...input.files].map((file) => ({file, path: file.webkitRelativePath || file.name}));
    input.value = "";
    if (files.length) take(input.id === "folder" ? files.filter(seemsPhoto) : files);
  };
  for (const id of ["file", "camera", "folder"]) $(id).addEventListener("change", (event) => chosen(event.target));
  const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
  for (const name of ["dragenter", "dragover"])
    document.addEventListener(name, (event) => { if (holdsFiles(event)) { event.preventDefault(); $("dropping").hidden = false; } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("dropping").hidden = true; });
  document.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    $("dropping").hidden = true;
    const files = await dropped(event.dataTransfer);
    if (files.length) take(files);
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].map((file) => ({file, path: file.name || "pasted"}));
    if (files.length) take(files);
  });
}
