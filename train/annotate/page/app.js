// Puts the parts together: keys, buttons, progress.

import { Labels } from "./labels.js";
import { Picture, paint, side, spoken } from "./picture.js";
import { Saver } from "./saver.js";

const IDLE_MS = 60_000; // after so long without an input the clock stops
const SEEN = ["a mere guess", "told by its neighbours", "shows clearly"];
const ROWS = ["head", "neck", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"];
const $ = (id) => document.getElementById(id);

const session = await (await fetch("session.json")).json();
const labels = new Labels(session, sessionStorage);
let tone = localStorage.getItem("tone") === "log" ? "log" : "root";
let active_s = session.active_s;
let lastInput = performance.now();

const saver = new Saver(session, (kind, text) => {
  $("saved").className = kind;
  $("saved").setAttribute("aria-live", kind === "bad" ? "assertive" : "off");
  $("saved").textContent = kind === "good" ? `${text} in ${session.file}` : text;
});
labels.changed = (map, { points, accepted }) =>
  saver.save({ name: labels.maps[map].name, points, accepted, active_s });

const picture = new Picture(labels, session.bones, {
  select(joint) { labels.select(joint); draw(); },
  show(joint, x, y) { labels.show(joint, x, y); picture.drawJoints(); },
  drop(joint, x, y, from) { labels.place(joint, x, y, { from }); draw(); },
  revert(points) { labels.revert(points); draw(); },
});

const actions = {
  next() { labels.select(labels.joint + 1); },
  previous() { labels.select(labels.joint - 1); },
  later() { labels.go(labels.map + 1); },
  earlier() { labels.go(labels.map - 1); },
  mirror() { labels.mirror(); },
  undo() { labels.undo(); },
  redo() { labels.redo(); },
  reset() { labels.reset(); },
  accept() { if (labels.accept()) finish(); },
  tone() {
    tone = tone === "root" ? "log" : "root";
    localStorage.setItem("tone", tone);
    drawn = -1;
  },
};
const KEYS = {
  n: "next", p: "previous", Enter: "accept", " ": "accept", m: "mirror", u: "undo", Backspace: "undo", r: "reset",
  l: "tone", "]": "later", "[": "earlier", PageDown: "later", PageUp: "earlier",
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

addEventListener("keydown", (event) => {
  if ($("finished").open || picture.dragging) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock changes nothing
  const elsewhere = document.activeElement !== $("map") && document.activeElement !== document.body;
  if (event.ctrlKey || event.metaKey) {
    const name = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
    if (!name) return;
    actions[name]();
  } else if (event.altKey || (elsewhere && ["Tab", "Enter", " "].includes(key))) {
    return;
  } else if (key === "Escape") {
    document.querySelector("#body [aria-current]").focus();
  } else if (key === "Tab") {
    actions[event.shiftKey ? "previous" : "next"]();
  } else if (key in ARROWS) {
    const step = event.shiftKey ? 1 : 0.1;
    labels.nudge(ARROWS[key][0] * step, ARROWS[key][1] * step, event.repeat);
  } else if (key === "0" || key === "1" || key === "2") {
    labels.see(Number(key));
  } else if (key === "h") {
    $("map").classList.add("bare");
  } else {
    const name = key === "u" && event.shiftKey ? "redo" : KEYS[key];
    if (!name || (event.repeat && name === "accept")) return;
    actions[name]();
  }
  event.preventDefault();
  draw();
});
const unhide = () => $("map").classList.remove("bare");
addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") unhide(); });
addEventListener("blur", unhide);
for (const kind of ["keydown", "pointerdown", "pointermove"]) {
  addEventListener(kind, () => { lastInput = performance.now(); }, { capture: true });
}

function button(parent, click) {
  const made = document.createElement("button");
  made.addEventListener("click", () => {
    click();
    $("map").focus();
    draw();
  });
  parent.append(made);
  return made;
}

const jointButtons = [];
for (const row of ROWS) {
  for (const name of [`r_${row}`, row, `l_${row}`]) {
    const joint = labels.names.indexOf(name);
    if (joint < 0) continue;
    const made = button($("body"), () => labels.select(joint));
    made.className = side(name);
    made.innerHTML = "<i></i><span></span>";
    made.querySelector("span").textContent = row;
    made.title = spoken(name);
    jointButtons[joint] = made;
  }
}
const mapButtons = labels.maps.map((map, i) => {
  const item = document.createElement("li");
  $("maps").append(item);
  const made = button(item, () => labels.go(i));
  made.title = map.name;
  made.append(document.createElement("canvas"), document.createElement("span"));
  made.querySelector("span").textContent = i + 1;
  return made;
});
for (const made of document.querySelectorAll("#visibility button, #actions button, #tone")) {
  made.addEventListener("click", () => {
    if (made.dataset.v) labels.see(Number(made.dataset.v));
    else actions[made.dataset.do ?? "tone"]();
    if (!$("finished").open) $("map").focus();
    draw();
  });
}

let drawn = -1;
function draw() {
  if (drawn !== labels.map) {
    if (drawn < 0) drawScale();
    drawn = labels.map;
    picture.drawMap(session.full_colour, tone);
    const { name, guess_is } = labels.maps[labels.map];
    $("name").textContent = guess_is === "model" ? name : `${name}, start: ${guess_is}`;
  }
  picture.drawJoints();
  const [x, y, v] = labels.points[labels.joint];
  const name = labels.names[labels.joint];
  const [joint, place] = $("now").children;
  joint.textContent = spoken(name);
  place.textContent = `column ${x.toFixed(1)}, row ${y.toFixed(1)}: ${SEEN[v]}`;
  joint.style.color = side(name) === "middle" ? "" : `var(--${side(name)})`;
  jointButtons.forEach((made, i) => {
    current(made, i === labels.joint);
    made.querySelector("i").dataset.v = labels.points[i][2];
  });
  mapButtons.forEach((made, i) => {
    current(made, i === labels.map);
    const { accepted, begun } = labels.states[i];
    made.className = accepted ? "accepted" : begun ? "begun" : "";
    made.setAttribute("aria-label", `map ${i + 1}${accepted ? ", done" : begun ? ", begun" : ""}`);
  });
  for (const made of document.querySelectorAll("#visibility button")) {
    made.setAttribute("aria-pressed", Number(made.dataset.v) === v);
  }
  document.querySelector('[data-do="undo"]').disabled = !labels.done.length;
  document.querySelector('[data-do="redo"]').disabled = !labels.undone.length;
  $("done").textContent = labels.accepted;
  $("bar").value = labels.accepted;
}

function current(element, is) {
  if (is) element.setAttribute("aria-current", "true");
  else element.removeAttribute("aria-current");
}

function drawScale() {
  const full = session.full_colour;
  $("tone").textContent = `${tone} scale`;
  $("full").textContent = full >= 10 ? Math.round(full) : full.toPrecision(2);
  paint($("scale"), Array.from({ length: 160 }, (_, i) => (i / 159) * full), 160, 1, full, tone);
  labels.maps.forEach((map, i) => {
    paint(mapButtons[i].querySelector("canvas"), map.pressure, map.cols, map.rows, full, tone);
  });
}

const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
function drawTime() {
  $("time").textContent = clock(active_s);
  const left = labels.maps.length - labels.accepted;
  const per_map_s = active_s / Math.max(labels.accepted, 1);
  $("pace").textContent = labels.accepted && left ? `${clock(per_map_s)} a map, about ${clock(left * per_map_s)} to go` : "";
}

function finish() {
  $("summary").textContent = `${labels.maps.length} maps in ${clock(active_s)}`;
  $("finished").showModal();
}
$("finished").addEventListener("close", () => $("map").focus());

let before = performance.now();
setInterval(() => {
  const now = performance.now();
  if (!document.hidden && now - lastInput < IDLE_MS) active_s += (now - before) / 1000;
  before = now;
  drawTime();
}, 500);

$("total").textContent = labels.maps.length;
$("bar").max = labels.maps.length;
$("file").textContent = session.file;
$("use").textContent = session.use;
draw();
drawTime();
$("map").focus();
document.body.dataset.ready = "yes";
