// The hub's live page. A stream of snapshots comes in; each is merged into what stands here, nothing is built anew.
// Whatever comes from the network becomes text (textContent, setAttribute), never markup.
"use strict";

const MAX_POINTS = 90; // of one sensor; of more the eye makes only a smear
const MAX_ERRORS = 20; // rows of the list; the figure above counts all that the hub remembers
const MAX_SLOTS = 20; // a wider window is shown as a number only
const MAX_SENSORS = 2000; // kept here; the hub tells of at most 1000
const SEARCH_FROM = 9; // sensors; fewer are seen at a glance
const SILENCE_MS = 16_000; // the hub pings every 5 s: after three it is gone, whatever the socket says
const RETRY_MS = [500, 1000, 2000, 4000, 8000]; // then every 8 s

function tick() {
  putTimes();
  if (latest === null) return;
  if (lost) putState($("state"), "unknown", "No answer");
  put($("uptime"), lost ? ` · last heard ${ago(hubNow() - latest.now)}` : ` · up ${span(hubNow() - startedAt)}`);
}

// ---- sparkline: three paths whose `d` changes, in a box of 100 × 100 that the style stretches ----

class Sparkline {
  constructor() {
    this.points = []; // [ts, number], in the order of arrival
    this.changed = true; // since the last draw()
    this.element = make("div", "chart");
    this.svg = this.element.appendChild(svgPart("svg"));
    this.svg.setAttribute("viewBox", "0 0 100 100");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    [this.area, this.line, this.last] = ["area", "line", "last"].map((name) => {
      const path = this.svg.appendChild(svgPart("path"));
      path.setAttribute("class", name);
      return path;
    });
    const range = make("div", "range");
    range.setAttribute("aria-hidden", "true");
    range.append((this.max = make("span")), (this.min = make("span")));
    this.element.append(range);
  }

  set(points) {
    this.points = points.slice(-MAX_POINTS).map(([, ts, value]) => [Number(ts), Number(value)]);
    this.changed = true;
  }

  draw() {
    if (!this.changed) return;
    this.changed = false;
    this.element.hidden = this.points.length === 0;
    if (this.element.hidden) return;
    let low = Infinity;
    let high = -Infinity;
    let steady = true; // a clock that was set back would draw a knot: then by number instead of by time
    this.points.forEach(([ts, value], index) => {
      low = Math.min(low, value);
      high = Math.max(high, value);
      steady &&= index === 0 || ts >= this.points[index - 1][0];
    });
    const count = this.points.length;
    const [first, last] = [this.points[0][0], this.points[count - 1][0]];
    this.ms = steady ? last - first : null;
    const x = (ts, index) => (this.ms > 0 ? ((ts - first) / this.ms) * 100 : count > 1 ? (index / (count - 1)) * 100 : 100);
    const y = (value) => (high > low ? 96 - ((value - low) / (high - low)) * 92 : 50);
    const places = this.points.map(([ts, value], index) => `${x(ts, index).toFixed(2)} ${y(value).toFixed(2)}`);
    const line = `M${places.join("L")}`;
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", count > 1 ? `${line}L100 100L${places[0].split(" ")[0]} 100Z` : "");
    this.last.setAttribute("d", `M${places[count - 1]}h0`); // no length, round ends: a dot that is not stretched
    put(this.max, number(high));
    put(this.min, high > low ? number(low) : "");
    this.svg.setAttribute("aria-label",
      `${plural(count, "reading")} in ${span(Math.abs(last - first))}, from ${number(low)} to ${number(high)}`);
  }
}

// ---- sensors ----

function kindOf(runtime) {
  if (/micropython/i.test(runtime)) return ["micropython", "MicroPython"];
  if (/cpython/i.test(runtime)) return ["cpython", "CPython"];
  return ["other", runtime.split(/\s/)[0]];
}

function makeSensor(sensor) {
  const element = make("li", "sensor");
  const head = make("div", "sensor-head");
  const name = make("h3");
  const open = make("button", "open", sensor.sensor || "(no name)");
  open.type = "button";
  open.title = `History of ${sensor.sensor === sensor.source ? sensor.sensor : `${sensor.sensor} of ${sensor.source}`}`;
  open.addEventListener("click", () => openDetail(sensor.source, sensor.sensor));
  name.append(open);
  const badge = make("span", "badge");
  const value = make("p", "value");
  const chart = new Sparkline();
  const foot = make("p", "sensor-foot");
  const length = make("span");
  const time = make("time");
  head.append(name, badge);
  foot.append(length, time);
  element.append(head, value, chart.element, foot);
  visibility.observe(element);
  return watched({ element, badge, value, chart, length, time, key: `${sensor.sensor}\n${sensor.source}`.toLowerCase() });
}

function updateSensor(part, sensor, link) {
  const isNumber = typeof sensor.val === "number" || typeof sensor.val === "bigint";
  const text = isNumber ? number(sensor.val) : compact(sensor.val);
  part.value.classList.toggle("json", !isNumber);
  put(part.value, text);
  part.chart.draw();
  const ms = part.chart.ms;
  put(part.length, ms > 0 ? `last ${span(ms)}` : plural(sensor.count, "reading"));
  putTime(part.time, sensor.ts);
  const runtime = link?.runtime ?? "";
  const [kind, label] = kindOf(runtime);
  part.badge.dataset.kind = kind;
  part.badge.title = runtime;
  part.badge.hidden = !label;
  put(part.badge, label);
  part.element.classList.toggle("down", link?.state === "down");
}

// ---- links, repositories, errors, journal ----

const LINK_CELLS = [ // [label, class], in the order of the table's head
  ["Source", ""], ["State", ""], ["Runtime", ""], ["Peer", ""], ["In flight", "number"], ["Acked", "number"],
  ["Per second", "number"], ["Backlog", "number"], ["Duplicates", "number"], ["Dropped", "number"], ["Retries", "number"],
  ["Heard", "number"], ["Last error", "wide"],
];

function makeLink(link) {
  const element = make("tr");
  element.setAttribute("role", "row");
  const cells = LINK_CELLS.map(([label, className]) => {
    const cell = make("td", className);
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    element.append(cell);
    return cell;
  });
  const state = cells[1].appendChild(make("span", "state"));
  const heard = cells[11].appendChild(make("time"));
  visibility.observe(element);
  return watched({ element, cells, state, heard, key: link.source.toLowerCase() });
}

function updateLink({ cells, state, heard }, link) {
  putState(state, link.state);
  put(cells[0], link.source);
  put(cells[2], link.runtime || "–");
  put(cells[3], link.peer || "–");
  put(cells[4], `${number(link.in_flight)} of ${number(link.window)}`);
  put(cells[5], number(link.acked));
  put(cells[6], number(link.rate, coarse));
  put(cells[7], number(link.backlog));
  put(cells[8], number(link.duplicates));
  put(cells[9], number(link.dropped));
  put(cells[10], number(Math.max(0, link.links - 1)));
  if (link.seen_ms === null) put(heard, "–");
  else putTime(heard, latest.now - link.seen_ms);
  put(cells[12], link.last_error ?? "");
  cells[12].classList.toggle("bad", Boolean(link.last_error));
  cells[12].classList.toggle("nothing", !link.last_error);
}

function makeRow(tag) {
  const element = make("li");
  const row = make("div", "row");
  const name = make("span");
  const right = make(tag, tag === "time" ? "soft" : "state");
  const text = make("p");
  row.append(name, right);
  element.append(row, text);
  return { element, name, right, text, bar: null };
}

function updateRepository(part, repository) {
  const { element, name, right, text } = part;
  put(name, repository.name);
  putState(right, repository.state);
  const rate = repository.rate === undefined ? "" : ` · ${number(repository.rate, coarse)} per second`;
  const retries = repository.retries ? ` · tried again ${plural(repository.retries, "time")}` : "";
  const progress = progressText(repository);
  const lag = `${repository.lag > 0 ? `${plural(repository.lag, "reading")} behind` : "up to date"}${progress && ` · ${progress}`}`;
  put(text, `${lag}${rate}${retries}${repository.last_error ? ` · ${repository.last_error}` : ""}`);
  text.classList.toggle("bad", Boolean(repository.last_error) && repository.state !== "up");
  if (progress && part.bar === null) element.append((part.bar = makeBar()));
  if (part.bar === null) return;
  part.bar.hidden = !progress;
  if (progress) putBar(part.bar, [["used", repository.progress]]);
}

function updateError({ name, right, text }, error) {
  put(name, error.where);
  putTime(right, error.ts);
  put(text, error.text);
}

function makeFact(fact) {
  const element = make("div", "fact");
  const value = make("dd");
  element.append(make("dt", "", fact[0]), value);
  return { element, value };
}

function showJournal(journal) {
  const facts = [
    ["File", journal.path],
    ["Duplicates left out", number(journal.duplicates)],
    ["Gaps", number(journal.gaps)],
    ["In quarantine", number(journal.quarantined)],
    ...(journal.space ? spaceFacts(journal.space) : []),
  ];
  showSpace(journal.space);
  reconcile($("journal"), facts, (fact) => fact[0], makeFact, (part, fact) => put(part.value, fact[1]));
  $("alert").hidden = !journal.last_error;
  put($("alert"), journal.last_error
    ? `The journal cannot store: ${journal.last_error}. Readings wait where they are until it can.` : "");
}

// What is not as it should be now, and stands with the thing itself.
function troubles({ journal, links, listeners = [], repositories }) {
  const rows = [...links, ...listeners.filter((one) => one.state !== undefined), ...repositories];
  return rows.filter((one) => one.state !== "up").length + (journal.last_error ? 1 : 0);
}

function showErrors(errors, counters) {
  const newest = [...errors].sort((a, b) => b.ts - a.ts);
  reconcile($("errors"), newest.slice(0, MAX_ERRORS), (_, index) => index, () => makeRow("time"), updateError);
  $("no-errors").hidden = newest.length > 0;
  put($("error-count"), number(newest.length));
  $("error-count").classList.toggle("some", newest.length > 0);
  const now = troubles(latest);
  put($("error-note"), newest.length ? "last one" : now ? `but ${plural(now, "trouble")} below` : "all is well");
  $("error-time").hidden = newest.length === 0;
  if (newest.length) putTime($("error-time"), newest[0].ts);
  const refused = Object.entries(counters.refused ?? {}).filter(([, count]) => count > 0);
  const parts = refused.map(([reason, count]) => `${reason} ${number(count)}`);
  if (counters.replaced_links > 0) parts.push(`links replaced by a newer one ${number(counters.replaced_links)}`);
  $("refused").hidden = parts.length === 0;
  put($("refused"), `${refused.length ? "Refused: " : ""}${parts.join(", ")}`);
}

function showFigures({ journal, network }) {
  put($("rows"), number(journal.rows));
  put($("rate"), number(journal.rate, steady));
  put($("commit"), number(journal.commit_ms, steady));
  put($("in-flight"), number(network.in_flight));
  put($("in-flight-of"), network.limit === null ? "" : `of ${number(network.limit)}`);
  put($("peak"), network.peak === null ? "not acknowledged yet" : `peak ${number(network.peak)}`);
  put($("rows-note"), `${bytes(journal.bytes)} on disk`);
  put($("commit-note"), plural(journal.commits, "commit"));
  const count = network.limit !== null && network.limit <= MAX_SLOTS ? network.limit : 0;
  reconcile($("slots"), Array.from({ length: count }, (_, index) => index < network.in_flight), (_, index) => index,
    () => ({ element: make("i") }), (part, taken) => part.element.classList.toggle("taken", taken));
}

// ---- many: only what can be seen is kept up to date, and the rest when it comes into view ----

const shownParts = new WeakMap(); // element: its part
const visibility = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const part = shownParts.get(entry.target);
    if (!part) continue;
    part.visible = entry.isIntersecting;
    if (part.visible) refresh(part);
  }
}, { rootMargin: "200px" });

function watched(part) {
  shownParts.set(part.element, part);
  part.visible = true; // until the browser has looked: at first everything is drawn once
  part.changed = null;
  return part;
}

function refresh(part) {
  part.changed?.();
  part.changed = null;
}

const sensors = new Map(); // key: the newest of each sensor, with its points
let sourceRows = new Map();

function wanted(key, link) {
  const text = $("filter").value.trim().toLowerCase();
  return (!text || key.includes(text)) && (!$("only-trouble").checked || (link !== undefined && troubled(link)));
}

function sensorsOf() {
  const names = new Map();
  for (const { source, sensor } of sensors.values()) {
    const known = names.get(source);
    if (known) known.push(sensor);
    else names.set(source, [sensor]);
  }
  return names;
}

function putInOrder() {
  const all = [...sensors].sort(([, a], [, b]) => natural.compare(a.source, b.source) || natural.compare(a.sensor, b.sensor));
  sensors.clear();
  for (const [key, sensor] of all) sensors.set(key, sensor);
}

function showSensors() {
  let shown = 0;
  reconcile($("sensors"), sensors, ([key]) => key, ([, sensor]) => makeSensor(sensor), (part, [, sensor]) => {
    const link = sourceRows.get(sensor.source);
    part.element.hidden = !wanted(part.key, link);
    shown += part.element.hidden ? 0 : 1;
    if (part.drawn === sensor && part.state === link?.state) return;
    [part.drawn, part.state] = [sensor, link?.state];
    part.changed = () => {
      part.chart.set(sensor.points);
      updateSensor(part, sensor, link);
    };
    if (part.visible) refresh(part);
  });
  $("no-sensors").hidden = sensors.size > 0;
  put($("sensor-count"), sensors.size ? number(sensors.size) : "");
  $("search").hidden = sensors.size < SEARCH_FROM && !$("filter").value && !$("only-trouble").checked;
  put($("filter-note"), shown === sensors.size ? "" : `${number(shown)} of ${plural(sensors.size, "sensor")}`);
}

// ---- a snapshot ----

let latest = null;
let drawing = false;

// Points must all be kept, so they are taken at once; everything else is drawn once per frame, from the latest.
function take(snapshot, anew) {
  latest = snapshot;
  clockOffset = snapshot.now - Date.now();
  startedAt = snapshot.now - snapshot.uptime_s * 1000;
  const links = new Map(snapshot.links.map((link) => [link.source, link]));
  if (anew) sensors.clear();
  const before = sensors.size;
  for (const sensor of snapshot.sensors) { // those with news; of the others the last word stands
    const key = JSON.stringify([sensor.source, sensor.sensor]);
    const known = sensors.get(key);
    sensors.set(key, { ...sensor, points: known ? [...known.points, ...sensor.points].slice(-MAX_POINTS) : sensor.points, anew });
  }
  for (const key of sensors.keys()) { // the hub forgets them, too
    if (sensors.size <= MAX_SENSORS) break;
    sensors.delete(key);
  }
  if (sensors.size !== before) putInOrder();
  sourceRows = links;
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    show(latest);
  });
}

function show(snapshot) {
  document.title = `${snapshot.name} · Bourn`;
  put($("name"), snapshot.name);
  put($("version"), snapshot.version);
  put($("hub"), snapshot.hub);
  putState($("state"), snapshot.state, snapshot.state === "running" ? "Running" : "Stopping");
  showFigures(snapshot);
  showSensors();
  showTopology(snapshot, sensorsOf());
  reconcile($("link-rows"), snapshot.links, (link) => link.source, makeLink, (part, link) => {
    part.changed = () => updateLink(part, link);
    part.element.hidden = !wanted(part.key, link);
    if (part.visible) refresh(part);
  });
  $("links").hidden = snapshot.links.length === 0;
  $("no-links").hidden = snapshot.links.length > 0;
  const up = snapshot.links.filter((link) => link.state === "up").length;
  put($("link-count"), snapshot.links.length ? `${number(up)} of ${number(snapshot.links.length)} up` : "");
  reconcile($("repositories"), snapshot.repositories, (one) => one.name, () => makeRow("span"), updateRepository);
  $("no-repositories").hidden = snapshot.repositories.length > 0;
  showJournal(snapshot.journal);
  showErrors(snapshot.errors, snapshot.counters);
  tick();
}

// ---- the stream: idle (hidden tab) -> connecting -> live -> lost -> connecting ... ----

let source = null;
let watchdog = 0;
let retry = 0;
let failures = 0;
let lost = false;

function pageState(state, text) {
  lost = state === "lost" || state === "locked";
  document.body.classList.toggle("stale", lost);
  putState($("page-state"), state, text);
  tick();
}

function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lose, SILENCE_MS);
}

function connect() {
  disconnect();
  source = new EventSource("/api/events");
  let anew = true; // the first snapshot of a stream has all points again
  source.addEventListener("status", (event) => {
    heard();
    take(parse(event.data), anew);
    anew = false;
    failures = 0;
    pageState("live", "Live");
  });
  source.addEventListener("ping", heard);
  source.addEventListener("error", lose);
  heard();
}

function disconnect() {
  clearTimeout(watchdog);
  clearTimeout(retry);
  source?.close();
  source = null;
}

async function lose() {
  disconnect();
  const pause = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
  failures += 1;
  retry = setTimeout(connect, pause);
  if (latest === null && failures === 1) return;
  const why = await reason();
  if (source === null || source.readyState !== EventSource.OPEN) pageState(...why);
}

// EventSource does not say why it failed, so the stream is asked for once in the ordinary way.
async function reason() {
  const question = new AbortController();
  const answer = await fetch("/api/events", { signal: question.signal }).catch(() => null);
  question.abort();
  if (answer?.status === 401) return ["locked", "Open the URL that the hub printed"];
  if (answer?.status === 503) return ["lost", "Too many open pages"];
  return ["lost", "Reconnecting…"];
}

for (const id of ["filter", "only-trouble"]) {
  $(id).addEventListener("input", () => { if (latest !== null) show(latest); });
}
document.addEventListener("keydown", (event) => { // as in many programs: / goes to the search
  if (event.key !== "/" || $("search").hidden || $("detail").open || event.target.matches("input")) return;
  event.preventDefault();
  $("filter").focus();
});
addEventListener("resize", () => { if (latest !== null) showTopology(latest, sensorsOf()); });
startDetail();
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
setInterval(tick, 1000);
if (!document.hidden) connect();
