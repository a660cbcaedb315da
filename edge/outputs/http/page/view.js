// What is looked at, and what buttons and keys do.

import { coarser, finer, paint } from "./colours.js";
import { Connection, command, takeToken } from "./connection.js";
import { quantity, showAbout, showCounts, showEvents, showLoad, showPerson } from "./figures.js";
import { MapView } from "./map.js";
import { Mat } from "./mat.js";
import { turned } from "./orientation.js";
import { Replay, duration } from "./replay.js";

const FIGURES_MS = 250;
const STALE_TEXT = "no fresh frames";
const STEP_S = 5;
const LONG_STEP_S = 30;

const element = (id) => document.getElementById(id);
const mats = new Map();
let current = null;
let view = null;
let connected = { state: "connecting", detail: "" };
let ended = false; // the recording was played to its end, and edge-run with it
const replay = new Replay(async (action, more) => {
  const answer = await command(action, { mat: current.name, ...more });
  if (!answer.ok) showReply(answer);
  return answer;
}, () => showPlayer());

takeToken();
const connection = new Connection({
  state({ mats: known, skeleton, replay: now }) {
    view ??= makeView(skeleton.bones);
    replay.now = now;
    ended = false;
    for (const name of mats.keys()) if (!Object.hasOwn(known, name)) mats.delete(name); // of a daemon before
    for (const [name, { hello, health, events }] of Object.entries(known)) {
      if (!mats.has(name)) mats.set(name, new Mat(name, Object.keys(known).length));
      const mat = mats.get(name);
      if (hello) mat.meet(hello);
      mat.health = health; // null: this daemon has not heard of the mat yet
      mat.events = events;
      if (now) mat.history.goLive();
    }
    if (!mats.has(current?.name)) current = mats.values().next().value;
    showMats();
    choose(current);
  },
  line(line, picture) {
    if (line.type === "replay") {
      replay.now = line;
      return showPlayer();
    }
    const mat = mats.get(line.mat);
    if (!mat) return;
    if (line.type === "hello") mat.meet(line);
    if (line.type === "health") mat.health = line;
    if (line.type === "event") mat.events = [...mat.events.slice(-30), line];
    if (line.type === "pose" && mat.hello) {
      const frame = { hello: mat.hello, pose: line, picture };
      if (replay.now && line.ts < mat.history.newest?.pose.ts) mat.history.clear();
      mat.history.push(frame);
      mat.speed.add(frame);
      if (mat.history.live) mat.scale(frame);
    }
    if (line.type === "end" && isReplay()) {
      replay.now = null;
      ended = true;
      showPlayer();
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
  paused: () => replay.paused || replay.held,
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
  showAbout(hello);
  showCounts(health);
  showLoad(health?.load, hello?.units.pressure);
  showEvents(events);
  const asked = health?.recording || health?.recording_waits; // for a recording, which the disk may hold up
  element("record").textContent = asked ? "Stop recording" : "Record";
  element("record").dataset.action = asked ? "stop_recording" : "record";
  element("turn").disabled = hello?.orientation === undefined;
  if (hello && localStorage.getItem(`upright/${current.key}`) === null) showUpright(true);
  showConnection();
}

function showPlayer() {
  const { history } = current;
  const [now, scrub] = [replay.now, element("scrub")];
  const paused = now ? replay.paused : !history.live;
  document.body.classList.toggle("replaying", now !== null || ended);
  scrub.step = now ? "any" : 1;
  scrub.max = now ? now.length_s : Math.max(history.length - 1, 0);
  scrub.value = now ? replay.position_s : history.place;
  scrub.ariaLabel = now ? "Position in the recording" : "Look back";
  const [position, length] = now ? [replay.position_s, now.length_s].map(duration) : [];
  element("time").textContent = now ? `${position} / ${length}` : "";
  scrub.ariaValueText = now ? `${position} of ${length}` : history.live ? "live" : `${history.behind.toFixed(1)} s ago`;
  element("time").hidden = !now;
  element("live").hidden = now !== null;
  element("live").disabled = history.live;
  element("live").textContent = ended ? "Newest" : "Live";
  element("pause").disabled = ended && history.live;
  element("pause").textContent = paused ? "Go on" : "Pause";
  element("pause").ariaPressed = String(paused);
  showConnection();
}

// eased: it follows the frame before in time
function showFrame(eased) {
  const { history } = current;
  showPlayer();
  if (!history.length) {
    showPerson();
    current.speed.show(current.health);
    return view.clear();
  }
  if (view.full !== current.full || view.unit !== current.unit) showScale();
  view.show(history.frame, eased);
  if (!eased) showPerson(history.frame);
}

function showScale() {
  view.full = current.full ?? view.full;
  view.unit = current.unit;
  paint(element("legend"), Float32Array.from({ length: 256 }, (_, i) => i * i), 256, 1, 255 * 255, view.dark.matches);
  element("quarter").textContent = Number((view.full / 4).toPrecision(3)).toLocaleString("en");
  element("full").textContent = "≥ " + quantity(view.full, current.unit);
  view.redraw();
}

// Live, looked back at, stale, or not connected: it must be plain which.
function showConnection() {
  const past = current && !current.history.live;
  const stale = current?.health?.status === "stale";
  let state = connected.state;
  let text = { connecting: "connecting", waiting: "reconnecting", refused: "token needed" }[state];
  if (state === "open" || ended) {
    state = past || replay.paused ? "past" : ended ? "ended" : stale ? "stale" : current?.health && current.history.length ? "live" : "connecting";
    text = {
      past: "paused", ended: "ended", stale: "stale", live: isReplay() ? "replay" : "live", connecting: "waiting for frames",
    }[state];
  }
  const badge = element("connection");
  badge.dataset.state = state;
  if (badge.lastElementChild.textContent !== text) badge.lastElementChild.textContent = text;
  const notice = element("notice");
  const age = past ? `${current.history.behind.toFixed(1)} s ago` : "";
  notice.textContent =
    connected.state === "waiting" && !ended ? `${connected.detail}; trying again`
    : past ? `looking back: ${age}`
    : ended ? "the recording has ended"
    : stale ? current.health.reason ?? STALE_TEXT
    : connected.state === "open" && current?.history.length && !current.health ? "no frame since edge-run started"
    : current?.health?.status === "pressure_only" ? `pressure only: ${current.health.reason}` : "";
  notice.hidden = !notice.textContent;
  element("mat").dataset.state = state;
}

// no frame of a recording has a latency
function isReplay() {
  return replay.now !== null || current?.history.newest?.pose.latency_ms === null;
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
  showReply(answer);
  element("force").hidden = action !== "tare" || answer.ok || more.force === true;
  return answer;
}

function showReply({ ok, text }) {
  element("reply").textContent = text;
  element("reply").className = ok ? "good" : "bad";
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

function seek(at_s) {
  replay.seek(at_s);
  showPlayer();
}

function pause() {
  if (replay.now) {
    if (replay.paused) replay.resume();
    else replay.pause();
    showPlayer();
  } else if (!current.history.live) goLive();
  else if (!ended) look(0);
}

function step(way, long) {
  if (replay.now) seek(replay.position_s + way * (long ? LONG_STEP_S : STEP_S));
  else look(way * (long ? 10 : 1));
}

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
  even: () => run("calibrate", { even: true }),
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
  if (replay.now) return seek(Number(event.target.value));
  current.history.look(Number(event.target.value));
  showFrame(false);
};
element("scrub").onpointerdown = () => replay.hold();
for (const over of ["pointerup", "pointercancel"]) addEventListener(over, () => replay.release());
element("weigh").onsubmit = (event) => {
  event.preventDefault();
  if (view && current) run("calibrate", { mass_kg: element("mass").valueAsNumber });
};
element("ask").onsubmit = () => connection.useToken(element("token").value);
element("ask").oncancel = (event) => event.preventDefault();
element("ask").onclose = () => connected.state === "refused" && element("ask").showModal(); // a second Escape closes it

const KEYS = {
  " ": pause, l: goLive, r: ACTIONS.smooth, s: ACTIONS.skeleton, "+": ACTIONS.coarser, "-": ACTIONS.finer,
  ArrowLeft: (event) => step(-1, event.shiftKey),
  ArrowRight: (event) => step(1, event.shiftKey),
};
document.addEventListener("keydown", (event) => {
  if (!view || !current || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not(#scrub), dialog")) return;
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
