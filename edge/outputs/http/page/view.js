// What is looked at, and what buttons and keys do.

import { coarser, finer, paint, roundScale } from "./colours.js";
import { Connection, command, takeToken } from "./connection.js";
import { Speed, quantity, showAbout, showCounts, showEvents, showLoad, showPerson } from "./figures.js";
import { History } from "./history.js";
import { MapView } from "./map.js";
import { turned } from "./orientation.js";

const FIGURES_MS = 250;
const STALE_TEXT = "no fresh frames";
const FIRST_FULL = { kPa: 10, counts: 100 };
const ABOVE = 0.03; // of the taxels may be above the scale

const element = (id) => document.getElementById(id);
const mats = new Map();
let current = null;
let view = null;
let connected = { state: "connecting", detail: "" };

class Mat {
  constructor(name, count) {
    this.name = name;
    this.history = new History(count);
    this.speed = new Speed();
    this.events = [];
    this.full = null;
    this.chosen = false;
  }

  get key() { return `${this.name}/${this.hello?.device_id}`; }
  get unit() { return this.history.newest?.picture?.unit ?? "counts"; }

  // The scale is fixed: it only grows, until somebody chooses one.
  scale({ pose, picture }) {
    this.full ??= FIRST_FULL[this.unit];
    if (this.chosen || !picture || !pose.occupied || pose.peak_pressure <= this.full) return;
    const sorted = picture.samples.slice().sort();
    const high = sorted[Math.floor((1 - ABOVE) * (sorted.length - 1))] * picture.step;
    if (high > this.full) this.full = roundScale(high);
  }

  choose(full) {
    this.full = full;
    this.chosen = true;
  }
}

takeToken();
const connection = new Connection({
  state({ mats: known, skeleton }) {
    view ??= makeView(skeleton.bones);
    for (const [name, { hello, health, events }] of Object.entries(known)) {
      if (!mats.has(name)) mats.set(name, new Mat(name, Object.keys(known).length));
      const mat = mats.get(name);
      mat.hello = hello ?? mat.hello;
      mat.health = health ?? mat.health;
      mat.events = events;
    }
    if (!mats.has(current?.name)) current = mats.values().next().value;
    showMats();
    choose(current);
  },
  line(line, picture) {
    const mat = mats.get(line.mat);
    if (!mat) return;
    if (line.type === "hello") mat.hello = line;
    if (line.type === "health") mat.health = line;
    if (line.type === "event") mat.events = [...mat.events.slice(-30), line];
    if (line.type === "pose" && mat.hello) {
      const frame = { hello: mat.hello, pose: line, picture };
      mat.history.push(frame);
      mat.speed.add(frame);
      if (mat.history.live) mat.scale(frame);
    }
    if (mat !== current) return;
    if (line.type !== "pose") showMat();
    else if (mat.history.live) showFrame(true);
    else showPlayer();
  },
  status(state, detail) {
    connected = { state, detail };
    showConnection();
  },
  token() {
    connected = { state: "refused", detail: "" };
    showConnection();
    element("ask").showModal();
  },
});

function makeView(bones) {
  const made = new MapView(element("map"), bones);
  for (const property of ["smooth", "skeleton"]) {
    made[property] = localStorage.getItem(property) !== "false";
    element(property).ariaPressed = String(made[property]);
  }
  made.dark.addEventListener("change", showScale);
  return made;
}

function showMats() {
  const buttons = [...mats.values()].map((mat) => {
    const button = document.createElement("button");
    button.textContent = mat.name;
    button.onclick = () => choose(mat);
    return button;
  });
  element("mats").replaceChildren(...(mats.size > 1 ? buttons : []));
}

function choose(mat) {
  current = mat;
  [...mats.values()].forEach((one, i) => {
    const button = element("mats").children[i];
    if (button) button.ariaCurrent = one === mat ? "true" : null;
  });
  document.title = mats.size > 1 ? `${mat.name} – Live view` : "Live view";
  element("upright").hidden = !mat.hello || localStorage.getItem(`upright/${mat.key}`) !== null;
  element("reply").textContent = "";
  element("force").hidden = true;
  showMat();
  showFrame(false);
}

function showMat() {
  const { hello, health, events } = current;
  if (hello) showAbout(hello);
  showCounts(health);
  showLoad(health?.load, hello?.units.pressure);
  showEvents(events);
  element("record").textContent = health?.recording ? "Stop recording" : "Record";
  element("record").dataset.action = health?.recording ? "stop_recording" : "record";
  element("turn").disabled = hello?.orientation === undefined;
  if (hello && localStorage.getItem(`upright/${current.key}`) === null) showUpright(true);
  showConnection();
}

function showPlayer() {
  const { history } = current;
  const scrub = element("scrub");
  scrub.max = Math.max(history.length - 1, 0);
  scrub.value = history.place;
  scrub.ariaValueText = history.live ? "live" : `${history.behind.toFixed(1)} s ago`;
  element("live").disabled = history.live;
  element("pause").textContent = history.live ? "Pause" : "Go on";
  element("pause").ariaPressed = String(!history.live);
  showConnection();
}

// eased: it follows the frame before in time
function showFrame(eased) {
  const { history } = current;
  showPlayer();
  if (!history.length) return view.clear();
  if (view.full !== current.full) showScale();
  view.show(history.frame, eased);
  if (!eased) showPerson(history.frame);
}

function showScale() {
  view.full = current.full ?? view.full;
  paint(element("legend"), Float32Array.from({ length: 256 }, (_, i) => i * i), 256, 1, 255 * 255, view.dark.matches);
  element("quarter").textContent = Number((view.full / 4).toPrecision(3)).toLocaleString("en");
  element("full").textContent = "≥ " + quantity(view.full, current.unit);
  view.redraw();
}

// Live, looked back at, stale, or not connected: it must be plain which.
function showConnection() {
  const past = current && !current.history.live;
  const stale = current?.health?.status === "stale";
  const replay = current?.history.newest?.pose.latency_ms === null;
  let state = connected.state;
  let text = { connecting: "connecting", waiting: "reconnecting", refused: "token needed" }[state];
  if (state === "open") {
    state = past ? "past" : stale ? "stale" : current?.history.length ? "live" : "connecting";
    text = { past: "paused", stale: "stale", live: replay ? "replay" : "live", connecting: "waiting for frames" }[state];
  }
  const badge = element("connection");
  badge.dataset.state = state;
  if (badge.lastElementChild.textContent !== text) badge.lastElementChild.textContent = text;
  const notice = element("notice");
  const age = past ? `${current.history.behind.toFixed(1)} s ago` : "";
  notice.textContent =
    connected.state === "waiting" ? `${connected.detail}; trying again`
    : past ? `looking back: ${age}`
    : stale ? current.health.reason ?? STALE_TEXT
    : current?.health?.status === "pressure_only" ? `pressure only: ${current.health.reason}` : "";
  notice.hidden = !notice.textContent;
  element("mat").dataset.state = state;
}

function showUpright(shown) {
  element("upright").hidden = !shown;
  element("turn").ariaExpanded = String(shown);
  for (const button of document.querySelectorAll("[data-turn]")) button.disabled = current.hello?.orientation === undefined;
}

async function run(action, more = {}) {
  const mat = current;
  const reply = element("reply");
  reply.textContent = "…";
  reply.className = "";
  const answer = await command(action, { mat: mat.name, ...more });
  if (mat !== current) return answer;
  reply.textContent = answer.text;
  reply.className = answer.ok ? "good" : "bad";
  element("force").hidden = action !== "tare" || answer.ok || more.force === true;
  return answer;
}

function look(step) {
  current.history.look(current.history.place + step);
  showFrame(false);
}

function goLive() {
  current.history.goLive();
  showFrame(false);
}

function toggle(id, property) {
  view[property] = !view[property];
  element(id).ariaPressed = String(view[property]);
  localStorage.setItem(property, view[property]);
  view.shown = null;
  view.redraw();
}

const pause = () => (current.history.live ? look(0) : goLive());
const rescale = (how) => {
  current.choose(how(current.full ?? view.full));
  showScale();
};

const ACTIONS = {
  pause,
  live: goLive,
  smooth: () => toggle("smooth", "smooth"),
  skeleton: () => toggle("skeleton", "skeleton"),
  coarser: () => rescale(coarser),
  finer: () => rescale(finer),
  turn: () => showUpright(element("upright").hidden),
  tare: () => run("tare"),
  force: () => run("tare", { force: true }),
  record: () => run(element("record").dataset.action),
  "upright-yes": () => {
    localStorage.setItem(`upright/${current.key}`, "yes");
    showUpright(false);
    element("turn").focus();
  },
};
for (const [id, act] of Object.entries(ACTIONS)) element(id).onclick = () => view && current && act();
for (const button of document.querySelectorAll("[data-turn]")) {
  button.onclick = () => run("turn", { orientation: turned(current.hello.orientation, button.dataset.turn) });
}
element("scrub").oninput = (event) => {
  if (!current) return;
  current.history.look(Number(event.target.value));
  showFrame(false);
};
element("ask").onsubmit = () => connection.useToken(element("token").value);
element("ask").oncancel = (event) => event.preventDefault();

const KEYS = {
  " ": pause, l: goLive, r: ACTIONS.smooth, s: ACTIONS.skeleton, "+": ACTIONS.coarser, "-": ACTIONS.finer,
  ArrowLeft: (event) => look(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => look(event.shiftKey ? 10 : 1),
};
document.addEventListener("keydown", (event) => {
  if (!view || !current || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog")) return;
  if (event.key === " " && event.target.closest("button, summary")) return;
  const mat = [...mats.values()][Number(event.key) - 1];
  const act = mat ? () => choose(mat) : KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event);
});

// Figures that change with every frame could not be read.
setInterval(() => {
  if (!current?.history.length) return;
  current.speed.show(current.health);
  if (current.history.live) showPerson(current.history.frame);
}, FIGURES_MS);
