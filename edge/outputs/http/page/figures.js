// The words and figures beside the map.

const LATENCIES = 300;
const RATE_S = 5;
const EVENTS_MOST = 12;
const REGIONS_MOST = 8;
const WHOLE = "whole";
const UNKNOWN = "–";

const element = (id) => document.getElementById(id);

function put(id, text) {
  const node = element(id);
  if (node.textContent !== text) node.textContent = text; // a status region would speak again
}

export const spoken = (name) => name.replaceAll("_", " ");
export const quantity = (value, unit) => `${Number(value.toPrecision(3)).toLocaleString("en")} ${unit}`;
const clock = (unix) => new Date(1000 * unix).toLocaleTimeString([], { hour12: false });

const duration = (s) => (s < 60 ? `${Math.round(s)} s` : s < 3600 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);

function row(cells) {
  const tr = document.createElement("tr");
  cells.forEach((cell, i) => {
    const td = document.createElement(i ? "td" : "th");
    if (!i) td.scope = "row";
    td.append(cell);
    tr.append(td);
  });
  return tr;
}

function bar(share) {
  const meter = document.createElement("span");
  meter.className = "bar";
  meter.setAttribute("aria-hidden", "true");
  meter.style.setProperty("--share", `${Math.round(100 * share)}%`);
  return meter;
}

// frame: { pose, picture }, or nothing where none has come
export function showPerson(frame) {
  const { pose, picture } = frame ?? {};
  put("posture", !pose ? "…" : pose.occupied ? spoken(pose.posture ?? "somebody") : "nobody");
  element("posture").classList.toggle("empty", !pose?.occupied);
  put("area", pose?.occupied ? quantity(pose.contact_area_cm2, "cm²") : UNKNOWN);
  put("peak", picture ? quantity(pose.peak_pressure, picture.unit) : UNKNOWN);
  put("centre", pose?.cop_cm ? pose.cop_cm.map((v) => v.toFixed(0)).join(", ") + " cm" : UNKNOWN);
  const sure = pose?.joints && Object.values(pose.joints).map((joint) => joint.confidence);
  put("sureness", sure ? `${Math.round((100 * sure.reduce((a, b) => a + b, 0)) / sure.length)} %` : UNKNOWN);
}

// load: region -> mean, integral, loaded_s, measured; the heaviest first
export function showLoad(load, unit) {
  const regions = Object.entries(load ?? {})
    .filter(([, { integral }]) => integral > 0)
    .sort(([, a], [, b]) => b.integral - a.integral)
    .slice(0, REGIONS_MOST);
  element("load").hidden = !regions.length;
  const most = Math.max(1e-9, ...regions.map(([, { mean }]) => mean ?? 0));
  element("load").querySelector("tbody").replaceChildren(...regions.map(([region, { mean, loaded_s, measured }]) => {
    const tr = row([spoken(region), bar((mean ?? 0) / most), mean === null ? UNKNOWN : quantity(mean, unit), duration(loaded_s)]);
    tr.classList.toggle("quiet", !measured);
    return tr;
  }));
}

export function showCounts(health) {
  for (const count of ["dropped", "lost", "corrupt", "port_losses"]) {
    put(count, health ? health.counts[count].toLocaleString("en") : UNKNOWN);
    element(count).classList.toggle("bad", Boolean(health?.counts[count]) && count !== "dropped");
  }
}

export function showEvents(events) {
  element("events").replaceChildren(...events.slice(-EVENTS_MOST).reverse().map(({ ts, event, detail }) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = clock(ts);
    const name = document.createElement("b");
    name.textContent = spoken(event);
    item.append(time, name, " ", detail);
    return item;
  }));
}

export function showAbout(hello) {
  if (!hello) return put("about", "");
  const { model, grid, firmware, software } = hello;
  put("about", `edge-run ${software}, model ${model.name} ${model.version} on ${model.runtime}; mat ${grid.rows} × ${grid.cols}` +
    ` taxels, ${firmware.name} ${firmware.version}`);
}

// What the live frames of one mat took, and how often they come.
export class Speed {
  constructor() {
    this.latencies = []; // [[stage, ms], ...] of each frame
    this.arrivals_s = [];
  }

  add({ pose, picture }) {
    this.arrivals_s.push(performance.now() / 1000);
    while (this.arrivals_s[0] <= this.arrivals_s.at(-1) - RATE_S) this.arrivals_s.shift(); // also of a mat not shown
    const stages = Object.entries(picture?.stages_ms ?? {});
    if (pose.latency_ms !== null) this.latencies.push([...stages, [WHOLE, pose.latency_ms]]);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  show(health) {
    const now_s = performance.now() / 1000;
    this.arrivals_s = this.arrivals_s.filter((at_s) => at_s > now_s - RATE_S);
    const seen_s = Math.min(RATE_S, now_s - (this.arrivals_s[0] ?? now_s));
    const shown = seen_s ? (this.arrivals_s.length - 1) / seen_s : 0;
    put("rate", (health?.fps ?? shown).toFixed(1));
    put("shown", shown.toFixed(1));
    const stages = new Map();
    for (const [stage, ms] of this.latencies.flat()) stages.set(stage, [...(stages.get(stage) ?? []), ms]);
    const rank = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    const whole = stages.get(WHOLE);
    if (stages.delete(WHOLE)) stages.set(WHOLE, whole); // an empty bed has fewer stages: the last one stays last
    const ranks = [...stages].map(([stage, ms]) => {
      const sorted = ms.sort((a, b) => a - b);
      return [stage, rank(sorted, 0.5), rank(sorted, 0.95)];
    });
    const most = Math.max(1e-9, ...ranks.map(([, median]) => median));
    element("latency").querySelector("tbody").replaceChildren(
      ...ranks.map(([stage, p50, p95]) => row([spoken(stage), bar(p50 / most), p50.toFixed(1), p95.toFixed(1)])),
    );
  }
}
