// One sensor's history, from the journal: a dialog with a chart. uPlot draws it where the package brought it along;
// otherwise the chart is a plain one of our own. Both show the lowest, the mean and the highest of each bucket.
"use strict";

const RANGES = [["5 min", 300_000], ["1 hour", 3_600_000], ["1 day", 86_400_000], ["1 week", 604_800_000], ["All", null]];
const AGAIN_MS = 5000; // a chart that is open is asked for anew this often; the page's stream has no history

let shownSensor = null; // {source, sensor}
let shownRange = 0;
let asking = 0; // the number of the newest question: an older answer comes too late
let again = 0;
let plot = null; // uPlot, while the dialog is open
let library; // a promise of whether uPlot is there

const wall = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function loadLibrary() {
  library ??= new Promise((resolve) => {
    const style = make("link");
    style.rel = "stylesheet";
    style.href = "/static/uplot.css";
    const script = make("script");
    script.src = "/static/uplot.js";
    script.onload = () => resolve(typeof uPlot === "function");
    script.onerror = () => resolve(false);
    if (document.body.dataset.library === "yes") document.head.append(style, script);
    else resolve(false);
  });
  return library;
}

function openDetail(source, sensor) {
  shownSensor = { source, sensor };
  put($("detail-name"), sensor);
  put($("detail-source"), source === sensor ? "" : `of ${source}`);
  if (!$("detail").open) $("detail").showModal();
  askHistory(true);
}

async function askHistory(anew) {
  clearTimeout(again);
  const question = ++asking;
  const range = RANGES[shownRange][1];
  const until = Math.round(hubNow());
  const query = new URLSearchParams({ ...shownSensor, to: until, points: Math.min(400, Math.max(60, innerWidth / 3 | 0)) });
  if (range !== null) query.set("from", until - range);
  if (anew) put($("detail-note"), "Reading the journal…");
  const [there, answer] = await Promise.all([loadLibrary(),
    fetch(`/api/history?${query}`).then((got) => (got.ok ? got.json() : null)).catch(() => null)]);
  if (question !== asking || !$("detail").open) return;
  again = setTimeout(() => { if (!document.hidden) askHistory(false); else again = setTimeout(askHistory, AGAIN_MS); }, AGAIN_MS);
  if (answer === null) {
    put($("detail-note"), "The hub does not answer; asking again.");
    return;
  }
  const points = withGaps(answer);
  if (!points[0].length) clearChart();
  else if (there) drawWithLibrary(points, answer);
  else drawPlainly(answer);
  putSummary(answer);
}

// Where nothing was measured for three usual steps the line is broken: null is a gap.
function withGaps({ points, bucket_ms }) {
  const columns = [[], [], [], []];
  const steps = points.slice(1).map((point, index) => point[0] - points[index][0]).sort((a, b) => a - b);
  const usual = Math.max(bucket_ms, steps[steps.length >> 1] ?? bucket_ms);
  points.forEach((point, index) => {
    if (index && point[0] - points[index - 1][0] > 3 * usual) {
      columns[0].push((points[index - 1][0] + usual) / 1000);
      for (const column of columns.slice(1)) column.push(null);
    }
    columns[0].push(point[0] / 1000);
    for (const at of [1, 2, 3]) columns[at].push(point[at]);
  });
  return columns;
}

function putSummary(answer) {
  if (!answer.points.length) {
    put($("detail-note"), "No number was measured in this time.");
    return;
  }
  let low = Infinity;
  let high = -Infinity;
  for (const point of answer.points) {
    low = Math.min(low, point[1]);
    high = Math.max(high, point[3]);
  }
  const first = new Date(answer.points[0][0]);
  const last = new Date(answer.points.at(-1)[0]);
  const what = answer.sampled ? `A sample of ${plural(answer.readings, "reading")}` : plural(answer.readings, "reading");
  const each = answer.bucket_ms >= 1000 ? `; each point is ${span(answer.bucket_ms)}` : "";
  put($("detail-note"),
    `${what}, lowest ${number(low)}, highest ${number(high)}, ${wall.formatRange(first, last)}${each}.`);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function clearChart() {
  plot?.destroy();
  plot = null;
  $("detail-chart").replaceChildren();
}

// Without the line that says what the pointer is at, where there is one.
function chartHeight(host) {
  return host.clientHeight - (matchMedia("(max-width: 720px)").matches ? 0 : 30);
}

function drawWithLibrary(columns, answer) {
  const host = $("detail-chart");
  if (plot) {
    plot.range = [answer.from / 1000, answer.to / 1000];
    plot.setData(columns);
    return;
  }
  clearChart();
  const [ink, edge, water, fill] = ["--soft", "--edge", "--water", "--fill"].map(colour);
  const axis = { stroke: ink, grid: { stroke: edge, width: 1 }, ticks: { stroke: edge, width: 1 }, font: "12px system-ui" };
  const bound = { stroke: "transparent", points: { show: false } };
  const value = (_, v) => (v === null ? "–" : number(v));
  plot = new uPlot({
    width: host.clientWidth, height: chartHeight(host),
    scales: { x: { range: (self) => self.range ?? [answer.from / 1000, answer.to / 1000] } },
    axes: [axis, { ...axis, size: 64, values: (_, values) => values.map((v) => number(v)) }],
    series: [{ label: "Time", value: (_, v) => (v === null ? "–" : wall.format(new Date(v * 1000))) },
      { ...bound, label: "Lowest", value }, { label: "Mean", stroke: water, width: 1.6, value },
      { ...bound, label: "Highest", value }],
    bands: [{ series: [3, 1], fill }],
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
  }, columns, host);
}

function drawPlainly({ points, from, to }) {
  let low = Infinity;
  let high = -Infinity;
  for (const point of points) {
    low = Math.min(low, point[1]);
    high = Math.max(high, point[3]);
  }
  const x = (ts) => (((ts - from) / Math.max(1, to - from)) * 100).toFixed(2);
  const y = (value) => (high > low ? 97 - ((value - low) / (high - low)) * 94 : 50).toFixed(2);
  const lower = points.map((point) => `${x(point[0])} ${y(point[1])}`);
  const upper = points.map((point) => `${x(point[0])} ${y(point[3])}`).reverse();
  const host = $("detail-chart");
  const svg = svgPart("svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `from ${number(low)} to ${number(high)}`);
  for (const [name, d] of [["area", `M${[...lower, ...upper].join("L")}Z`],
    ["line", `M${points.map((point) => `${x(point[0])} ${y(point[2])}`).join("L")}`]]) {
    const path = svgPart("path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.append(path);
  }
  const range = make("div", "range");
  range.append(make("span", "", number(high)), make("span", "", high > low ? number(low) : ""));
  const times = make("div", "times");
  times.append(make("span", "", wall.format(new Date(from))), make("span", "", wall.format(new Date(to))));
  const chart = make("div", "chart plain");
  chart.append(svg, range);
  host.replaceChildren(chart, times);
}

function putRanges() {
  reconcile($("detail-ranges"), RANGES, (range) => range[0], (range) => {
    const element = make("button", "", range[0]);
    element.type = "button";
    element.addEventListener("click", () => {
      shownRange = RANGES.indexOf(range);
      clearChart();
      putRanges();
      askHistory(true);
    });
    return { element };
  }, ({ element }, range) => element.setAttribute("aria-pressed", String(RANGES.indexOf(range) === shownRange)));
}

function startDetail() {
  putRanges();
  const dialog = $("detail");
  $("detail-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it
  dialog.addEventListener("close", () => {
    clearTimeout(again);
    asking += 1;
    clearChart();
  });
  new ResizeObserver(() => {
    const host = $("detail-chart");
    plot?.setSize({ width: host.clientWidth, height: chartHeight(host) });
  }).observe($("detail-chart"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    clearChart();
    if (dialog.open) askHistory(false);
  });
}
