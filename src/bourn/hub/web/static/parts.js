// What the scripts of every page share: text, elements, and time as the server tells it.
// Whatever comes from the network becomes text (textContent, setAttribute), never markup.
"use strict";

const MAX_TEXT = 400; // characters of a value that is no number

const $ = (id) => document.getElementById(id);

// ---- text ----

const decimals = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const steady = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const coarse = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function number(value, format = decimals) {
  if (typeof value === "bigint") return value.toLocaleString("en");
  if (typeof value !== "number") return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 1e15) ? value.toExponential(3) : format.format(value);
  return text.replaceAll("-", "−");
}

function bytes(count) { // as --journal-bytes counts them
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${number(count, coarse)} ${units[unit]}`;
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} days`;
}

const ago = (ms) => (ms < 1500 ? "just now" : `${span(ms)} ago`);
const natural = new Intl.Collator("en", { numeric: true }); // s2 before s10
const plural = (count, one) => `${number(count)} ${one}${count === 1 ? "" : "s"}`;

function compact(value) {
  const lines = JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part), 1);
  const text = lines.replace(/\n */g, " "); // spaces between the parts, so that a line breaks there
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

// JSON.parse rounds integers beyond 2^53; a reading is shown as it was measured.
function parse(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, at) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(at?.source ?? "")
      ? BigInt(at.source) : value);
}

// ---- elements ----

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function svgPart(tag) {
  return document.createElementNS("http://www.w3.org/2000/svg", tag);
}

// Writing what already stands there would still cost a layout, and make a screen reader say it again.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function putState(element, state, text = state) {
  if (element.dataset.state !== state) element.dataset.state = state;
  put(element, text);
}

// Makes the children of `parent` those of `items`, in their order, keeping the element of every key that stays.
function reconcile(parent, items, key, create, update) {
  const parts = (parent.parts ??= new Map());
  const seen = new Set();
  let place = parent.firstElementChild;
  let index = -1;
  for (const item of items) {
    index += 1;
    const name = key(item, index);
    if (seen.has(name)) continue;
    seen.add(name);
    let part = parts.get(name);
    if (!part) {
      part = create(item);
      parts.set(name, part);
    }
    if (part.element === place) place = place.nextElementSibling;
    else parent.insertBefore(part.element, place);
    update(part, item);
  }
  for (const [name, part] of parts) {
    if (!seen.has(name)) {
      part.element.remove();
      parts.delete(name);
    }
  }
}

// ---- time: the hub's clock, run on between snapshots ----

let clockOffset = 0; // hub's clock - this machine's
let startedAt = 0; // of the hub, on its own clock
const hubNow = () => Date.now() + clockOffset;

function putTime(element, ts) {
  if (element.dataset.ts === String(ts)) return;
  element.dataset.ts = ts;
  const date = new Date(ts);
  if (Number.isNaN(date.getTime())) return;
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  put(element, ago(hubNow() - ts));
}

function putTimes() {
  for (const element of document.querySelectorAll("time[data-ts]")) put(element, ago(hubNow() - element.dataset.ts));
}
