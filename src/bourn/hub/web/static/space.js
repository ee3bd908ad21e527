// How full things are: the journal on its disk, a repository that catches up.
"use strict";

const SPACE_STATES = { // [state as the dot shows it, words]
  room: ["up", "There is room"],
  low: ["retrying", "Nearly full"],
  dropping: ["retrying", "Full: the oldest readings make room"],
  full: ["down", "Full: nothing is acknowledged"],
  disk_full: ["down", "The disk is full: nothing is acknowledged"],
};

// A bar of parts, each a share of the whole: [[class, share], ...]. What is said of it stands beside it as text.
function makeBar(className = "bar") {
  const element = make("div", className);
  element.setAttribute("aria-hidden", "true");
  return element;
}

function putBar(element, parts) {
  reconcile(element, parts, (part) => part[0], () => ({ element: make("i") }), (made, [name, share]) => {
    if (made.element.className !== name) made.element.className = name;
    const width = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`;
    if (made.element.style.width !== width) made.element.style.width = width;
  });
}

// What is used of the room there may be; and what of that room the disk does not have.
function spaceParts(space) {
  const whole = Math.max(space.full_at, space.bytes, 1);
  const used = space.bytes / whole;
  const missing = space.disk_free === null ? 0 : Math.max(0, space.full_at - space.bytes - space.disk_free) / whole;
  return [[`used ${space.state}`, used], ["free", 1 - used - missing], ["missing", missing]];
}

function percent(share) {
  const rounded = Math.round(100 * share);
  return rounded === 0 && share > 0 ? "< 1 %" : `${number(rounded)} %`;
}

function spaceFacts(space) {
  const kept = space.keep_s === null ? "as long as there is room" : `${span(space.keep_s * 1000)}, then removed`;
  const full = space.when_full === "drop_oldest" ? "the oldest readings go" : "senders wait, nothing is acknowledged";
  const facts = [
    ["Oldest reading", space.oldest === null ? "–" : `${span(Math.max(0, latest.now - space.oldest))} old`],
    ["Free on its disk", space.disk_free === null ? "–" : bytes(space.disk_free)],
    ["Kept", kept],
    ["When it is full", full],
  ];
  if (space.trimmed) facts.push(["Removed by age", number(space.trimmed)]);
  if (space.dropped) facts.push(["Dropped for room", number(space.dropped)]);
  for (const [name, count] of Object.entries(space.dropped_for)) facts.push([`Before ${name} had them`, number(count)]);
  return facts;
}

function showSpace(space) {
  $("space").hidden = space === undefined;
  if (space === undefined) return;
  const [state, words] = SPACE_STATES[space.state];
  putState($("space-state"), state, words);
  put($("space-share"), percent(space.bytes / space.full_at));
  put($("space-note"), `${bytes(space.bytes)} of ${bytes(space.full_at)} used`
    + (space.disk_free !== null && space.disk_free < space.full_at - space.bytes
      ? `, ${space.disk_free ? `and ${bytes(space.disk_free)}` : "nothing"} left on the disk` : ""));
  putBar($("space-bar"), spaceParts(space));
}

function progressText(one) {
  if (one.progress === null || one.progress === undefined) return "";
  const left = one.left_s === null || one.left_s === undefined ? "" : `, ${span(one.left_s * 1000)} left`;
  return `${Math.floor(100 * one.progress)} % caught up${left}`;
}
