// Where readings go: sensors -> links -> journal -> repositories, as boxes with wires between them.
// Of many sources the ones that need looking at are drawn, and the others are one box.
"use strict";

const MAX_NODES = 8; // boxes of a stage

const stages = ["sensors", "links", "journal", "repositories"];
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

function nodes(snapshot, sensorsOf) {
  const [shown, others] = chosen(snapshot.links);
  const flowing = (rows) => total(rows, "rate") > 0;
  const sensors = [];
  const links = [];
  for (const link of shown) {
    const names = sensorsOf.get(link.source) ?? [];
    sensors.push({
      key: link.source, to: link.source, state: link.state, flows: flowing([link]),
      name: names.length === 1 ? names[0] : link.source,
      text: names.length > 1 ? plural(names.length, "sensor") : link.runtime,
    });
    links.push({
      key: link.source, to: "journal", state: link.state, flows: flowing([link]), name: link.source,
      text: linkText([link], ` of ${number(link.window)}`),
      error: link.state === "up" ? "" : link.last_error,
    });
  }
  if (others.length) {
    const down = others.filter((link) => link.state === "down").length;
    const key = "\u0000others"; // no source is called that
    const state = down ? "down" : "up";
    sensors.push({ key, to: key, state: "up", flows: flowing(others), name: `${number(others.length)} more`, text: "" });
    links.push({
      key, to: "journal", state, flows: flowing(others), name: `${number(others.length)} more`,
      text: `${down ? `${number(down)} down · ` : ""}${linkText(others, "")}`,
    });
  }
  const { journal, repositories } = snapshot;
  const store = [{
    key: "journal", to: repositories.map((one) => one.name), state: journal.last_error ? "down" : "up", flows: journal.rate > 0,
    name: snapshot.name,
    text: `${number(journal.rate, coarse)}/s · commit ${number(journal.commit_ms, steady)} ms · `
      + `${number(journal.duplicates)} twice · ${plural(journal.gaps, "gap")}`,
    error: journal.last_error,
  }];
  const ends = repositories.map((one) => ({
    key: one.name, state: one.state, flows: one.rate > 0, name: one.name,
    text: [one.rate === undefined ? "" : `${number(one.rate, coarse)}/s`,
      one.lag ? `${number(one.lag)} behind` : "up to date",
      one.retries ? plural(one.retries, "retry").replace("retrys", "retries") : ""].filter(Boolean).join(" · "),
    error: one.state === "up" ? "" : one.last_error,
  }));
  return [sensors, links, store, ends];
}

function makeNode() {
  const element = make("li", "node");
  const name = make("span", "state node-name");
  const text = make("span", "node-text");
  const error = make("span", "node-text bad");
  element.append(name, text, error);
  return { element, name, text, error };
}

function updateNode({ element, name, text, error }, node) {
  putState(name, node.state, node.name);
  put(text, node.text);
  put(error, node.error ?? "");
  error.hidden = !node.error;
  element.title = node.name;
}

function showTopology(snapshot, sensorsOf) {
  const columns = nodes(snapshot, sensorsOf);
  columns.forEach((column, index) => {
    reconcile($(`stage-${stages[index]}`), column, (node) => node.key, makeNode, updateNode);
  });
  drawWires(columns);
}

// Measuring makes the browser lay the page out, so wires are drawn anew only when boxes came, went or moved.
function drawWires(columns) {
  const box = $("topology").getBoundingClientRect();
  const said = JSON.stringify([Math.round(box.width), Math.round(box.height),
    columns.map((column) => column.map((node) => [node.key, node.to, node.state, node.flows]))]);
  if (said === wiring) return;
  wiring = said;
  const paths = [];
  for (let index = 0; index < 3; index += 1) {
    const from = $(`stage-${stages[index]}`).parts;
    const to = $(`stage-${stages[index + 1]}`).parts;
    for (const node of columns[index]) {
      for (const key of [node.to].flat()) {
        const a = from.get(node.key)?.element.getBoundingClientRect();
        const b = to.get(key)?.element.getBoundingClientRect();
        if (!a || !b) continue;
        const [x1, y1] = [a.right - box.left, a.top + a.height / 2 - box.top];
        const [x2, y2] = [b.left - box.left, b.top + b.height / 2 - box.top];
        const middle = (x1 + x2) / 2;
        paths.push({ d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`,
          kind: node.state === "down" ? "down" : node.flows ? "flows" : "rests" });
      }
    }
  }
  const wires = $("wires");
  wires.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  reconcile(wires, paths, (_, index) => index, () => ({ element: svgPart("path") }), ({ element }, path) => {
    element.setAttribute("d", path.d);
    element.setAttribute("class", path.kind);
  });
}
