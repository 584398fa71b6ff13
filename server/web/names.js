// The field for a class: suggestions by prefix and alias, with the other names as a gloss (an ARIA combobox).
import {$, element} from "./format.js";

const SHOWN = 12;

export class Names {
  #rows = [];    // {key, label, aliases, words}
  #found = [];
  #at = -1;

  constructor(choose) {
    const field = $("target");
    this.choose = choose;
    field.addEventListener("input", () => this.#suggest());
    field.addEventListener("keydown", (event) => this.#key(event));
    field.addEventListener("blur", () => setTimeout(() => this.#close(), 150));
  }

  /** labels: [{index, label, aliases}]; groups: [{name, aliases, size}]. */
  set(labels, groups) {
    const plain = (text) => text.toLowerCase().replaceAll("_", " ");
    this.#rows = [
      ...groups.map((group) => ({key: `group:${group.name}`, label: group.name, gloss: `any of ${group.size}`, words: [group.name, ...(group.aliases ?? [])].map(plain)})),
      ...labels.map((row) => ({key: String(row.index), label: row.label, gloss: (row.aliases ?? []).filter((name) => !/^n\d{8}$/.test(name)).join(", "), words: [row.label, ...(row.aliases ?? [])].map(plain)}))];
  }
  get size() { return this.#rows.length; }
  /** A class as one would write it: its label where that can be no other, else its key. */
  say(key, label) {
    const same = (row) => row.label === label || (/^\d+$/.test(row.key) && row.words.includes(label.toLowerCase().replaceAll("_", " ")));
    return !key || /^(\d+$|group:|label:)/.test(label) || this.#rows.some((row) => row.key !== key && same(row)) ? key : label;
  }
  find(text) {
    const wanted = text.trim().toLowerCase();
    return this.#rows.find((row) => row.key === text || row.label === text) ?? this.#rows.find((row) => row.words.includes(wanted));
  }

  #suggest() {
    const wanted = $("target").value.trim().toLowerCase();
    const rank = (row) => (row.words[0].startsWith(wanted) ? 0 : row.words.some((word) => word.startsWith(wanted)) ? 1
      : row.words.some((word) => word.includes(` ${wanted}`)) ? 2 : 9);
    this.#found = wanted === "" ? [] : this.#rows.map((row) => [rank(row), row]).filter(([at]) => at < 9).sort((a, b) => a[0] - b[0]).slice(0, SHOWN).map(([, row]) => row);
    this.#at = -1;
    $("names").replaceChildren(...this.#found.map((row, i) => element("li", {role: "option", id: `name-${i}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); this.#take(row); }},
      row.label, ...(row.gloss ? [element("small", {text: row.gloss})] : []))));
    this.#open(this.#found.length > 0);
  }
  #open(open) {
    $("names").hidden = !open;
    $("target").setAttribute("aria-expanded", String(open));
    if (!open) $("target").removeAttribute("aria-activedescendant");
  }
  #close() { this.#open(false); }
  #move(by) {
    const items = $("names").children;
    if (!items.length) return;
    this.#at = (this.#at + by + items.length) % items.length;
    [...items].forEach((item, i) => item.setAttribute("aria-selected", String(i === this.#at)));
    items[this.#at].scrollIntoView({block: "nearest"});
    $("target").setAttribute("aria-activedescendant", `name-${this.#at}`);
  }
  #take(row) {
    $("target").value = row.label;
    this.#close();
    this.choose(row.key, row.label);
  }
  #key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#move(event.key === "ArrowDown" ? 1 : this.#at < 0 ? 0 : -1);
    else if (event.key === "Escape") this.#close();
    else if (event.key === "Enter" && $("target").value.trim()) {
      const row = this.#found[Math.max(0, this.#at)] ?? this.find($("target").value);
      if (row) this.#take(row); else this.choose($("target").value.trim(), $("target").value.trim());
    } else return;
    event.preventDefault();
  }
}
