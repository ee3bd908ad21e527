// What is recorded on this machine: a card for each folder. Asked for while the page is visible, oftener while the cards
// are in view; the server makes one answer for everybody who looks. Sound comes in columns of a tenth of a second, which
// are played here at their pace, so that the meters move smoothly.
"use strict";

(() => {

const ASK_MS = 500; // while the cards are in view
const ASK_SELDOM_MS = 5000; // while they are not
const ASK_AGAIN_MS = [1000, 2000, 4000, 8000]; // after a failure; then every 8 s
const SPECTROGRAM = 150; // columns that are shown
const BEHIND = 12; // columns that wait to be played; beyond it they are played at once
const STILL_MS = 2000; // without a new column: then the meters fall
const QUIET_DB = -60; // the meters' left end
const DARK_DB = -90; // the spectrogram's darkest colour
const HOLD_MS = 1500; // how long the highest peak stands
const HERE = ["recording", "sealed", "archived", "uploading", "verified", "parked", "damaged"]; // take space, in this order
const SAID = {
  recording: "being recorded", sealed: "sealed", archived: "packed", uploading: "being uploaded", verified: "verified",
  parked: "parked", damaged: "damaged", deleted: "safely away", dropped: "dropped", missing: "missing",
};

const FULL = { drop_oldest: "the oldest go", thin: "old ones are thinned", stop_recording: "recording pauses" };

const cards = new Map(); // key: its part
let recordingsAsked = 0; // the timer of the next question
let recordingsFailed = 0; // questions in a row
let recordingsSeen = false; // whether the cards are in view

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
const percent = (part, whole) => `${whole > 0 ? Math.min(100, (part / whole) * 100).toFixed(2) : 0}%`;

// Units of 1000, as `bourn record` takes and tells them.
function size(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${number(count, unit ? coarse : decimals)} ${units[unit]}`;
}

function hertz(rate) {
  return rate >= 1000 ? `${number(rate / 1000)} kHz` : `${number(rate)} Hz`;
}

function formOf(form) {
  if (!form) return "";
  if (form.kind === "wav") {
    const bits = (form.frame_bytes / form.channels) * 8;
    return `${hertz(form.rate)} · ${plural(form.channels, "channel")} · ${bits} bit`;
  }
  if (form.kind === "jsonl") return "events, a line each";
  return `frames of ${size(form.frame_bytes)}${form.rate ? ` · ${number(form.rate)} per second` : ""}`;
}

function lengthOf(frames, form) {
  if (form?.kind === "wav" && form.rate) return `${number(frames / form.rate, steady)} s`;
  return plural(frames, form?.kind === "jsonl" ? "line" : "frame");
}

// ---- sound: levels and spectrogram ----

// From dark over the page's water to nearly white; 256 colours, made once.
const colours = (() => {
  const stops = [[0, 8, 14, 24], [0.3, 12, 58, 92], [0.55, 14, 128, 140], [0.78, 120, 208, 150], [1, 255, 246, 190]];
  const made = [];
  for (let n = 0; n < 256; n += 1) {
    const at = n / 255;
    const upper = stops.findIndex((stop) => stop[0] >= at) || 1;
    const [low, high] = [stops[upper - 1], stops[upper]];
    const part = (at - low[0]) / (high[0] - low[0]);
    made.push([1, 2, 3].map((one) => Math.round(low[one] + (high[one] - low[one]) * part)));
  }
  return made;
})();

class Sound {
  constructor(meters, picture) {
    this.meters = meters;
    this.picture = picture;
    this.last = -1; // the number of the newest column that came
    this.waiting = [];
    this.timer = 0;
    this.heard = 0;
    this.held = []; // of each channel: [peak, until when it stands]
  }

  take({ column_s, bands, columns }) {
    if (this.picture.height !== bands) this.clear(bands);
    if (columns.length && columns[0][0] <= this.last) this.clear(bands); // another recording
    for (const column of columns) {
      this.last = column[0];
      this.waiting.push(column);
    }
    if (columns.length) this.heard = Date.now();
    while (this.waiting.length > BEHIND) this.draw(this.waiting.shift());
    if (!this.timer) this.timer = setInterval(() => this.play(), column_s * 1000);
  }

  play() {
    if (this.waiting.length) this.draw(this.waiting.shift());
    else if (Date.now() - this.heard > STILL_MS) this.still();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
  }

  still() {
    this.stop();
    for (const part of this.meters.children) this.level(part, QUIET_DB, QUIET_DB, QUIET_DB);
  }

  clear(bands) {
    this.picture.width = SPECTROGRAM;
    this.picture.height = bands;
    this.waiting = [];
    this.last = -1;
  }

  draw([, peaks, means, spectrum]) {
    const context = this.picture.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.picture, -1, 0);
    const strip = context.createImageData(1, spectrum.length);
    spectrum.forEach((db, band) => {
      const at = (spectrum.length - 1 - band) * 4;
      const colour = colours[Math.max(0, Math.min(255, Math.round((1 - db / DARK_DB) * 255)))];
      strip.data.set([...colour, 255], at);
    });
    context.putImageData(strip, SPECTROGRAM - 1, 0);
    const now = Date.now();
    reconcile(this.meters, peaks, (_, index) => index, (_, index) => ({ element: makeMeter() }), () => {});
    peaks.forEach((peak, index) => {
      const held = this.held[index];
      if (!held || peak >= held[0] || now > held[1]) this.held[index] = [peak, now + HOLD_MS];
      this.level(this.meters.children[index], peak, means[index], this.held[index][0]);
    });
  }

  level(part, peak, mean, held) {
    const place = (db) => `${Math.max(0, Math.min(100, (1 - db / QUIET_DB) * 100)).toFixed(1)}%`;
    part.firstElementChild.style.setProperty("--mean", place(mean));
    part.firstElementChild.style.setProperty("--peak", place(peak));
    part.firstElementChild.style.setProperty("--held", place(held));
    part.firstElementChild.setAttribute("aria-valuenow", peak.toFixed(1));
    part.dataset.loud = peak >= -0.3 ? "clipped" : peak >= -6 ? "loud" : "";
    put(part.lastElementChild, peak <= QUIET_DB ? "–" : `${number(peak, steady)} / ${number(mean, steady)}`);
  }
}

function makeMeter() {
  const element = make("div", "meter");
  const bar = make("div", "meter-bar");
  for (const [name, value] of [["role", "meter"], ["aria-label", "Level, dBFS"], ["aria-valuemin", QUIET_DB], ["aria-valuemax", 0]]) {
    bar.setAttribute(name, value);
  }
  bar.append(make("i", "peak"), make("i", "mean"), make("i", "held"));
  element.append(bar, make("span", "meter-text", "–"));
  return element;
}

// ---- a card ----

function makeRecording(recording) {
  const element = make("li", "recording");
  const parts = {};
  const add = (parent, name, tag, className = name, text = "") => parent.appendChild((parts[name] = make(tag, className, text)));
  const head = add(element, "head", "div", "recording-head");
  add(head, "name", "h3", "");
  add(head, "state", "span", "state");
  add(head, "what", "span", "soft recording-what");
  add(element, "alarms", "ul", "alarms");
  add(element, "absent", "p", "empty");
  const body = add(element, "body", "div", "recording-body");

  const sound = add(body, "soundBox", "div", "sound");
  const picture = make("div", "spectrogram");
  add(picture, "picture", "canvas", "");
  parts.picture.setAttribute("role", "img");
  add(picture, "top", "span", "spectrum-top");
  add(picture, "shown", "span", "spectrum-shown");
  add(sound, "levels", "div", "levels");
  parts.levels.append(make("p", "soft levels-title", "Level, dBFS: peak / RMS"));
  add(parts.levels, "meters", "div", "meters");
  sound.prepend(picture);
  add(body, "line", "p", "newest-line mono");

  const disk = add(body, "diskBox", "div", "share");
  const diskHead = disk.appendChild(make("p", "share-head"));
  diskHead.append(make("span", "", "Disk"));
  add(diskHead, "disk", "span", "soft");
  add(disk, "bar", "div", "bar");
  add(disk, "legend", "ul", "legend");

  const uploads = add(body, "uploads", "div", "share");
  const uploadHead = uploads.appendChild(make("p", "share-head"));
  uploadHead.append(make("span", "", "Uploads"));
  add(uploadHead, "to", "span", "soft");
  add(uploads, "progress", "progress", "progress");
  add(uploads, "sending", "p", "soft");
  add(uploads, "waits", "p", "soft");
  add(uploads, "error", "p", "bad");

  add(body, "facts", "dl", "recording-facts");
  const files = add(body, "files", "details", "files");
  files.append(make("summary", "", "Newest files"));
  const table = files.appendChild(make("table", "file-table"));
  const row = table.appendChild(make("thead")).appendChild(make("tr"));
  for (const [label, className] of FILE_CELLS) {
    const cell = row.appendChild(make("th", className, label));
    cell.scope = "col";
  }
  add(table, "rows", "tbody", "");
  const more = files.appendChild(make("p", "soft"));
  more.append("As JSON: ");
  for (const [text, query] of [["last day", "?since=1d"], ["all", ""]]) {
    const link = more.appendChild(make("a", "", text));
    link.href = `/api/recordings/${encodeURIComponent(recording.key)}/files${query}`;
    more.append(" ");
  }
  files.open = innerWidth > 720;
  return { element, ...parts, sound: new Sound(parts.meters, parts.picture) };
}

const FILE_CELLS = [["Began", ""], ["Frames", "file-name"], ["State", ""], ["Length", "number"], ["Size", "number"],
  ["Tries", "number"], ["Error", "file-error"]];

function makeFile() {
  const element = make("tr");
  const cells = FILE_CELLS.map(([label, className]) => {
    const cell = element.appendChild(make("td", className));
    cell.dataset.label = label;
    return cell;
  });
  return { element, cells };
}

function updateFile({ cells }, file, form) {
  const texts = [clock.format(new Date(file.at)),
    file.end === null ? `from ${number(file.first)} on` : `${number(file.first)} – ${number(file.end - 1)}`,
    SAID[file.state] ?? file.state, file.end === null ? "–" : lengthOf(file.end - file.first, form), file.bytes === null ? "–" : size(file.bytes), number(file.attempts), file.error ?? ""];
  texts.forEach((text, index) => put(cells[index], text));
  cells[1].title = file.file;
  cells[2].dataset.state = file.state;
  cells[6].classList.toggle("nothing", !file.error);
}

function showDisk(part, { disk, states, policy }) {
  const here = HERE.filter((state) => states[state]?.files);
  const full = FULL[policy] ? ` · when full ${FULL[policy]}` : "";
  put(part.disk, disk.limit ? `${size(disk.used)} of ${size(disk.limit)}${full}` : "");
  part.disk.title = `${size(disk.free)} free on the file system`;
  reconcile(part.bar, here, (state) => state, (state) => ({ element: make("i", `of-${state}`) }), ({ element }, state) => {
    element.style.width = percent(states[state].bytes, disk.limit);
    element.title = `${SAID[state]}: ${plural(states[state].files, "file")}, ${size(states[state].bytes)}`;
  });
  const gone = ["deleted", "dropped", "missing"].filter((state) => states[state]?.files);
  reconcile(part.legend, [...here, ...gone], (state) => state, (state) => ({ element: make("li", `of-${state}`) }),
    ({ element }, state) => {
      const bytes = here.includes(state) ? `, ${size(states[state].bytes)}` : "";
      put(element, `${SAID[state]} ${number(states[state].files)}${bytes}`);
    });
}

function showUploads(part, { uploads, alarms, now }) {
  put(part.to, uploads.to ?? "none: recordings stay here");
  const sending = uploads.progress;
  part.progress.hidden = !sending;
  part.sending.hidden = !sending;
  if (sending) {
    part.progress.max = Math.max(1, sending[2]);
    part.progress.value = sending[1];
    put(part.sending, `${sending[0].split("/").at(-1)}: ${size(sending[1])} of ${size(sending[2])}`);
  }
  const { backlog } = uploads;
  const said = [];
  if (uploads.to && backlog.files) said.push(`${plural(backlog.files, "file")} (${size(backlog.bytes)}) to go, the oldest from ${span(now - uploads.oldest_at)} ago`);
  else if (uploads.to) said.push("nothing waits");
  if (uploads.next_at) said.push(`next attempt in ${span(uploads.next_at - hubNow())}`);
  if (uploads.failures_in_a_row) said.push(`${plural(uploads.failures_in_a_row, "failure")} in a row`);
  put(part.waits, said.join(" · "));
  part.waits.hidden = !said.length;
  put(part.error, uploads.error ?? "");
  part.error.hidden = !uploads.error || alarms.some((one) => one.text.includes(uploads.error)); // once is enough
}

function showFacts(part, recording) {
  const { uploads, form } = recording;
  const facts = [
    ["Recorded", form?.kind === "wav" && form.rate ? span((recording.frames / form.rate) * 1000) : number(recording.frames)],
    ["Lost", recording.lost ? `${lengthOf(recording.lost, form)} in ${plural(recording.gaps, "gap")}` : "nothing"],
    ["Dropped", recording.dropped ? `${plural(recording.dropped, "file")} by ${recording.policy}` : "nothing"],
  ];
  if (uploads.to) {
    facts.push(["Uploaded", `${plural(uploads.uploaded, "file")}, ${size(uploads.uploaded_bytes)}`],
      ["Failed tries", number(uploads.failures)], ["Sent this month", size(uploads.sent_this_month)]);
  }
  reconcile(part.facts, facts, (fact) => fact[0], makeFigure, ({ value, element }, fact) => {
    put(value, fact[1]);
    element.classList.toggle("some", (fact[0] === "Lost" || fact[0] === "Dropped") && fact[1] !== "nothing");
  });
}

function updateRecording(part, recording, now) {
  const { form } = recording;
  put(part.name, recording.key);
  part.name.title = recording.folder;
  const said = recording.closing ? "finishing" : recording.state === "absent" ? "nothing yet" : recording.state;
  putState(part.state, recording.state === "recording" ? "up" : recording.state === "alarm" ? "down" : "unknown", said);
  const rate = recording.frames_per_s && form?.kind !== "wav" ? `${number(recording.frames_per_s, coarse)} a second` : "";
  const name = recording.name === recording.key ? "" : recording.name;
  put(part.what, [name, formOf(form), rate].filter(Boolean).join(" · "));
  reconcile(part.alarms, recording.alarms, (one) => one.text, () => ({ element: make("li") }), ({ element }, one) => {
    element.className = one.level;
    put(element, one.text);
  });
  part.absent.hidden = recording.missing === undefined;
  put(part.absent, recording.missing === undefined ? "" : `${recording.folder}: ${recording.missing}`);
  part.body.hidden = recording.missing !== undefined;
  if (recording.missing !== undefined) return;
  part.soundBox.hidden = form?.kind !== "wav";
  if (recording.sound) {
    put(part.top, hertz(recording.sound.top_hz));
    put(part.shown, `last ${number(SPECTROGRAM * recording.sound.column_s)} s`);
    part.picture.setAttribute("aria-label", `Spectrogram, 0 to ${hertz(recording.sound.top_hz)}`);
    part.sound.take(recording.sound);
  }
  part.line.hidden = !recording.line;
  put(part.line, recording.line ?? "");
  showDisk(part, recording);
  showUploads(part, { ...recording, now });
  showFacts(part, recording);
  reconcile(part.rows, recording.recent, (file) => `${file.at} ${file.first}`, makeFile,
    (line, file) => updateFile(line, file, form));
}

function makeFigure(fact) {
  const element = make("div");
  const value = make("dd");
  element.append(make("dt", "", fact[0]), value);
  return { element, value };
}

// ---- asking ----

function showRecordings({ now, recordings }) {
  clockOffset = now - Date.now();
  reconcile($("recordings"), recordings, (one) => one.key, (one) => {
    const part = makeRecording(one);
    cards.set(one.key, part);
    return part;
  }, (part, one) => updateRecording(part, one, now));
  put($("recording-count"), recordings.length > 1 ? number(recordings.length) : "");
  $("recordings-section").hidden = recordings.length === 0;
}

async function askRecordings() {
  clearTimeout(recordingsAsked);
  if (document.hidden) return;
  const query = recordingsSeen
    ? `?${new URLSearchParams([...cards].map(([key, { sound }]) => ["after", `${key}:${sound.last}`]))}` : "";
  const answer = await fetch(`/api/recordings${query}`).catch(() => null);
  const told = answer?.ok ? await answer.json().catch(() => null) : null;
  if (answer?.status === 503) { // other pages are being answered
    recordingsAsked = setTimeout(askRecordings, ASK_MS * 2);
    return;
  }
  if (told) {
    recordingsFailed = 0;
    showRecordings(told);
  } else {
    recordingsFailed += 1;
  }
  $("recordings").classList.toggle("unheard", recordingsFailed > 1);
  if (document.body.dataset.page === "recorder") sayHowItGoes(answer, told);
  const wait = recordingsFailed ? ASK_AGAIN_MS[Math.min(recordingsFailed, ASK_AGAIN_MS.length) - 1]
    : recordingsSeen ? ASK_MS : ASK_SELDOM_MS;
  clearTimeout(recordingsAsked);
  recordingsAsked = setTimeout(askRecordings, wait);
}

// Where no hub's page does it.
function sayHowItGoes(answer, told) {
  document.body.classList.toggle("stale", !told);
  if (told) putState($("page-state"), "live", "Live");
  else if (answer?.status === 401) putState($("page-state"), "locked", "Open the URL that was printed");
  else putState($("page-state"), "lost", "Reconnecting…");
  if (told) document.title = `${told.recordings.map((one) => one.name).join(", ")} · Bourn`;
}

function startRecordings() {
  new IntersectionObserver((entries) => {
    const seen = entries.at(-1).isIntersecting;
    if (seen === recordingsSeen) return;
    recordingsSeen = seen;
    if (seen) askRecordings();
    else for (const { sound } of cards.values()) sound.stop();
  }, { rootMargin: "100px" }).observe($("recordings-section"));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) askRecordings();
    else for (const { sound } of cards.values()) sound.stop();
  });
  $("recordings-section").hidden = false; // so that it can be seen to be in view
  if (document.body.dataset.page === "recorder") setInterval(putTimes, 1000);
  askRecordings();
}

if (document.body.dataset.recordings === "yes") startRecordings();
})();
