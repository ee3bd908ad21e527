// Where readings go: sensors -> (brokers ->) links -> journal -> repositories, as boxes with wires between them.
// Of many sources the ones that need looking at are drawn, and the others are one box.
"use strict";

const MAX_NODES = 8; // boxes of a stage

const OTHERS = "\u0000others"; // no source is called that

const stages = ["sensors", "brokers", "links", "journal", "repositories"];
let wiring = ""; // what the wires were last drawn for

function troubled(link) {
  return link.state === "down" || link.dropped > 0 || link.backlog > 100 || Boolean(link.last_error && link.state !== "up");
}

// The same order from one snapshot to the next unless something goes wrong or heals: boxes do not jump about.
function chosen(links) {
  if (links.length <= MAX_NODES) return [links, []];
  const sorted = [...links].sort((a, b) => troubled(b) - troubled(a));
  return [sorted.slice(0, MAX_NODES - 1), sorted.slice(MAX_NODES - 1)];
}

function total(rows, name) {
  return rows.reduce((sum, row) => sum + (row[name] ?? 0), 0);
}

function linkText(rows, window) {
  const parts = [`${number(total(rows, "rate"), coarse)}/s`, `${number(total(rows, "in_flight"))}${window} in flight`];
  for (const [name, label] of [["backlog", "waiting"], ["dropped", "dropped"], ["duplicates", "twice"]]) {
    const count = total(rows, name);
    if (count) parts.push(`${number(count)} ${label}`);
  }
  const retries = total(rows, "links") - rows.filter((row) => row.links).length;
  if (retries > 0) parts.push(plural(retries, "retry").replace("retrys", "retries"));
  return parts.join(" · ");
}

// Brokers that the hub hears, and what comes through them: a link's peer is then the broker's URL.
function brokersOf(snapshot, shown, others) {
  const listeners = (snapshot.listeners ?? []).filter((one) => one.state !== undefined);
  const known = new Set(listeners.map((one) => one.url));
  const places = new Map(listeners.map((one) => [one.url, []]));
  for (const link of shown) places.get(link.peer)?.push(link.source);
  const behind = new Set(others.map((link) => (known.has(link.peer) ? link.peer : "")));
  for (const url of behind) places.get(url)?.push(OTHERS);
  return { listeners, known, places, behind };
}

function brokerNode(one, places) {
  const { messages, at_most_once, repeated, duplicates, held, ...trouble } = one.counters; // the first are none
  const bad = Object.entries(trouble).filter(([, count]) => count > 0);
  return {
    key: one.url, to: places.map((source) => [2, source]), state: one.state, flows: one.rate > 0, name: one.url, rows: places.length,
    text: [`${number(one.rate, coarse)} messages/s`, plural(one.sources, "source"),
      one.unacknowledged ? `${number(one.unacknowledged)} of ${number(one.window)} not acknowledged` : "",
      ...bad.map(([what, count]) => `${number(count)} ${what.replaceAll("_", " ")}`)].filter(Boolean).join(" · "),
    error: one.last_error ?? one.last_refusal ?? "",
  };
}

function nodes(snapshot, sensorsOf) {
  const [chosenLinks, others] = chosen(snapshot.links);
  const { listeners, known, places, behind } = brokersOf(snapshot, chosenLinks, others);
  // What comes directly first, then broker by broker: so wires do not cross, and pass above the brokers' boxes.
  const shown = [...chosenLinks.filter((link) => !known.has(link.peer)),
    ...listeners.flatMap((one) => chosenLinks.filter((link) => link.peer === one.url))];
  const flowing = (rows) => total(rows, "rate") > 0;
  const sensors = [];
  const links = [];
  for (const link of shown) {
    const names = sensorsOf.get(link.source) ?? [];
    sensors.push({
      key: link.source, to: [known.has(link.peer) ? [1, link.peer] : [2, link.source]], state: link.state, flows: flowing([link]),
      name: names.length === 1 && names[0] !== link.source ? `${link.source}/${names[0]}` : link.source,
      text: names.length > 1 ? plural(names.length, "sensor") : link.runtime,
    });
    links.push({
      key: link.source, to: [[3, "journal"]], state: link.state, flows: flowing([link]), name: link.source,
      text: linkText([link], ` of ${number(link.window)}`),
      error: link.state === "up" ? "" : link.last_error,
    });
  }
  if (others.length) {
    const down = others.filter((link) => link.state === "down").length;
    sensors.push({
      key: OTHERS, to: [...behind].map((url) => (url ? [1, url] : [2, OTHERS])), state: "up", flows: flowing(others),
      name: `${number(others.length)} more`, text: "",
    });
    links.push({
      key: OTHERS, to: [[3, "journal"]], state: down ? "down" : "up", flows: flowing(others), name: `${number(others.length)} more`,
      text: `${down ? `${number(down)} down · ` : ""}${linkText(others, "")}`,
    });
  }
  const { journal, repositories } = snapshot;
  const store = [{
    key: "journal", to: repositories.map((one) => [4, one.name]), state: journal.last_error ? "down" : "up", flows: journal.rate > 0,
    name: snapshot.name,
    text: `${number(journal.rate, coarse)}/s · commit ${number(journal.commit_ms, steady)} ms · `
      + `${number(journal.duplicates)} twice · ${plural(journal.gaps, "gap")}`,
    error: journal.last_error,
    bar: journal.space ? spaceParts(journal.space) : null,
    barText: journal.space ? `${percent(journal.space.bytes / journal.space.full_at)} of its room used` : "",
  }];
  const ends = repositories.map((one) => ({
    key: one.name, to: [], state: one.state, flows: one.rate > 0, name: one.name,
    text: [one.rate === undefined ? "" : `${number(one.rate, coarse)}/s`,
      one.lag ? `${number(one.lag)} behind` : "up to date", progressText(one),
      one.retries ? plural(one.retries, "retry").replace("retrys", "retries") : ""].filter(Boolean).join(" · "),
    error: one.state === "up" ? "" : one.last_error,
    bar: progressText(one) ? [["used", one.progress]] : null,
  }));
  const direct = shown.filter((link) => !known.has(link.peer));
  const passes = [...direct.map((link) => link.source), ...(behind.has("") && behind.size === 1 ? [OTHERS] : [])];
  const heard = listeners.map((one) => brokerNode(one, places.get(one.url)));
  const above = passes.filter((key) => key !== OTHERS).map((key) => ({ key: `\u0001${key}`, to: [], rows: 1, passes: true }));
  const below = passes.filter((key) => key === OTHERS).map((key) => ({ key, to: [], rows: 1, passes: true }));
  return [sensors, heard.length ? [...above, ...heard, ...below] : [], links, store, ends];
}

function makeNode() {
  const element = make("li", "node");
  const name = make("span", "state node-name");
  const text = make("span", "node-text");
  const error = make("span", "node-text bad");
  element.append(name, text, error);
  return { element, name, text, error, bar: null };
}

function updateNode(part, node) {
  const { element, name, text, error } = part;
  element.classList.toggle("passes", Boolean(node.passes));
  element.style.flexGrow = node.rows ?? "";
  if (node.passes) return;
  putState(name, node.state, node.name);
  put(text, node.text);
  put(error, node.error ?? "");
  error.hidden = !node.error;
  element.title = [node.name, node.barText].filter(Boolean).join(": ");
  if (node.bar && part.bar === null) element.insertBefore((part.bar = makeBar()), text);
  if (part.bar === null) return;
  part.bar.hidden = !node.bar;
  if (node.bar) putBar(part.bar, node.bar);
}

function showTopology(snapshot, sensorsOf) {
  const columns = nodes(snapshot, sensorsOf);
  $("brokers").hidden = columns[1].length === 0;
  $("topology").classList.toggle("with-brokers", columns[1].length > 0);
  columns.forEach((column, index) => {
    reconcile($(`stage-${stages[index]}`), column, (node) => node.key, makeNode, updateNode);
  });
  drawWires(columns);
}

// At its middle, but at a broker's box, which stands beside all that comes through it, at the height of the other end.
function heightOf(box, other, broker) {
  const middle = (one) => one.top + one.height / 2;
  return broker ? Math.min(box.bottom - 10, Math.max(box.top + 10, middle(other))) : middle(box);
}

// Measuring makes the browser lay the page out, so wires are drawn anew only when boxes came, went or moved.
function drawWires(columns) {
  const box = $("topology").getBoundingClientRect();
  const said = JSON.stringify([Math.round(box.width), Math.round(box.height),
    columns.map((column) => column.map((node) => [node.key, node.to, node.state, node.flows]))]);
  if (said === wiring) return;
  wiring = said;
  const paths = [];
  columns.forEach((column, index) => {
    const from = $(`stage-${stages[index]}`).parts;
    for (const node of column) {
      for (const [stage, key] of node.to) {
        const a = from.get(node.key)?.element.getBoundingClientRect();
        const b = $(`stage-${stages[stage]}`).parts.get(key)?.element.getBoundingClientRect();
        if (!a || !b) continue;
        const ends = [heightOf(a, b, index === 1), heightOf(b, a, stage === 1)].map((y) => y - box.top);
        const [x1, x2] = [a.right - box.left, b.left - box.left];
        const middle = (x1 + x2) / 2;
        paths.push({ d: `M${x1} ${ends[0]}C${middle} ${ends[0]} ${middle} ${ends[1]} ${x2} ${ends[1]}`,
          kind: node.state === "down" ? "down" : node.flows ? "flows" : "rests" });
      }
    }
  });
  const wires = $("wires");
  wires.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  reconcile(wires, paths, (_, index) => index, () => ({ element: svgPart("path") }), ({ element }, path) => {
    element.setAttribute("d", path.d);
    element.setAttribute("class", path.kind);
  });
}
