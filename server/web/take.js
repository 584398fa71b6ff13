// To take along: programs that ask the same, a link with the choices, a card to share.
import {percent} from "./format.js";

const quote = (text) => (/^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
const pairs = (parameters) => Object.entries(parameters).flatMap(([name, value]) => [].concat(value).map((one) => [name, String(one)]))
  .filter(([, value]) => value !== "" && value !== "undefined");

/** The same request as a program. how: curl, fetch or python; mask: the file of an own mask, "" without one. */
export function program(how, server, parameters, photo, key, mask = "") {
  const query = new URLSearchParams(pairs(parameters)), url = `${new URL("v1/filter", server)}${query.size ? `?${query}` : ""}`;
  return {curl: asCurl, fetch: asFetch, python: asPython}[how](url, photo, mask, key);
}

function asCurl(url, photo, mask, key) {
  const named = /[,;"\\]/.test(photo) ? `"${photo.replace(/["\\]/g, "\\$&")}"` : photo; // a form's commas part several files
  const body = mask ? `-F ${quote(`image=@${named}`)} -F ${quote(`mask=@${mask}`)}` : `--data-binary ${quote(`@${photo}`)}`;
  return `curl ${key ? '-H "Authorization: Bearer $INFOMASK_KEY" ' : ""}${body} ${quote(url)} -D - -o filtered.png`;
}

function asFetch(url, photo, mask, key) {
  const form = mask ? `const form = new FormData(); // file: the photo; mask: ${mask}\nform.append("image", file);\nform.append("mask", mask);\n` : "";
  return `${form}const response = await fetch(${JSON.stringify(url)}, {\n  method: "POST", body: ${mask ? "form" : "file"}, headers: {Accept: "image/png"${key ? ", Authorization: `Bearer ${key}`" : ""}},\n});\n` +
    `if (!response.ok) throw new Error((await response.json()).detail);\nconst picture = await response.blob();\n` +
    `const left = response.headers.get("Infomask-Pmi-After"); // nats`;
}

function asPython(url, photo, mask, key) {
  const read = (name) => `open(${JSON.stringify(name)}, "rb").read()`, base64 = (name) => `base64.b64encode(${read(name)}).decode()`;
  const data = mask ? `json.dumps({"image": ${base64(photo)},\n                     "mask": ${base64(mask)}}).encode()` : read(photo);
  return `${mask ? "import base64\nimport json\n" : ""}import urllib.request\n\nrequest = urllib.request.Request(\n    ${JSON.stringify(url)},\n    data=${data},\n` +
    `    headers={"Content-Type": "${mask ? "application/json" : "application/octet-stream"}", "Accept": "image/png"${key ? ', "Authorization": f"Bearer {key}"' : ""}})\nwith urllib.request.urlopen(request) as answer:\n` +
    `    open("filtered.png", "wb").write(answer.read())\n    print(answer.headers["Infomask-Pmi-Before"], "->", answer.headers["Infomask-Pmi-After"], "nats")`;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no permission, or no https
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function wrap(context, text, x, y, width, line) {
  let row = "";
  for (const word of text.split(" ")) {
    if (row && context.measureText(`${row} ${word}`).width > width) {
      context.fillText(row, x, y);
      row = word;
      y += line;
    } else row = row ? `${row} ${word}` : word;
  }
  context.fillText(row, x, y);
  return y + line;
}

function cover(context, picture, x, y, width, height) {
  const scale = Math.max(width / picture.width, height / picture.height), w = width / scale, h = height / scale;
  context.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2, w, h, x, y, width, height);
}

/** Before, after and the sentence, 1200 x 630, as PNG. */
export async function shareCard({before, after, caption: word, sentence, exactly, verdict, area}) {
  const canvas = new OffscreenCanvas(1200, 630), context = canvas.getContext("2d");
  context.fillStyle = "#0e1216";
  context.fillRect(0, 0, 1200, 630);
  for (const [blob, x, caption] of [[before, 40, "the photo"], [after, 610, word]]) {
    if (!blob) continue;
    const picture = await createImageBitmap(blob);
    cover(context, picture, x, 40, 550, 350);
    picture.close();
    context.font = "22px system-ui, sans-serif";
    context.fillStyle = "#000c";
    context.fillRect(x, 350, context.measureText(caption).width + 32, 40);
    context.fillStyle = "#fff";
    context.fillText(caption, x + 16, 378);
  }
  context.fillStyle = "#ffb454";
  context.font = "700 38px system-ui, sans-serif";
  let y = wrap(context, sentence, 40, 446, 1120, 44);
  context.fillStyle = "#eef1f4";
  context.font = "22px system-ui, sans-serif";
  y = wrap(context, `${verdict}${area ? `; ${percent(area)} of the photo replaced` : ""}.`, 40, y, 1120, 30);
  context.fillStyle = "#a3adb8";
  wrap(context, exactly, 40, y, 1120, 28);
  context.fillText("infomask", 1060, 612);
  return canvas.convertToBlob({type: "image/png"});
}
