// The pressure map with its joints: drawing, and the mouse. Joints are in taxels, the drawing in millimetres.

const STOPS = [[0, 10, 13, 18], [0.25, 40, 56, 77], [0.55, 108, 130, 152], [0.8, 184, 197, 204], [1, 250, 252, 250]];
const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const at = i / 255;
  const next = Math.max(1, STOPS.findIndex((s) => s[0] >= at));
  const [a, b] = [STOPS[next - 1], STOPS[next]];
  return [1, 2, 3].map((c) => Math.round(a[c] + ((at - a[0]) / (b[0] - a[0])) * (b[c] - a[c])));
});
const LOG_RANGE = 100;
export const TONES = {
  root: (share) => Math.sqrt(share),
  log: (share) => Math.log1p(share * (LOG_RANGE - 1)) / Math.log(LOG_RANGE),
};
const GRAB_MM = 32;
const SVG = "http://www.w3.org/2000/svg";

export const side = (name) => (name.startsWith("r_") ? "right" : name.startsWith("l_") ? "left" : "middle");
export const spoken = (name) => name.replace(/^r_/, "right ").replace(/^l_/, "left ");

export function paint(canvas, values, columns, rows, full, tone) {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  values.forEach((value, i) => {
    const share = Math.min(Math.max(value / full, 0), 1);
    image.data.set([...COLOURS[Math.round(255 * TONES[tone](share))], 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export class Picture {
  // actions: select(joint), show(joint, x, y), drop(joint, x, y, points before), revert(points)
  constructor(labels, bones, actions) {
    this.labels = labels;
    this.actions = actions;
    this.box = document.getElementById("map");
    this.svg = document.getElementById("joints");
    this.canvas = document.getElementById("pressure");
    this.bones = bones.map((ends) => ({ ends, line: this.#add(this.svg, "line", { class: "bone" }) }));
    this.joints = labels.names.map((name, i) => {
      const group = this.#add(this.svg, "g", { class: `joint ${side(name)}`, "data-joint": name, "data-index": i });
      this.#add(group, "circle", { class: "reach", r: GRAB_MM });
      this.#add(group, "circle", { class: "halo", r: 24 });
      this.#add(group, "circle", { class: "dot", r: 14 });
      const text = this.#add(group, "text", {});
      text.textContent = name.replace("_", " ");
      return { group, text };
    });
    this.box.addEventListener("pointerdown", (event) => this.#press(event));
    new ResizeObserver(() => this.fit()).observe(document.getElementById("stage"));
  }

  get map() { return this.labels.maps[this.labels.map]; }

  fit() {
    const { cols, rows, pitch_x_cm, pitch_y_cm } = this.map;
    const [width, height] = [10 * cols * pitch_x_cm, 10 * rows * pitch_y_cm];
    const stage = document.getElementById("stage").getBoundingClientRect();
    const scale = Math.min(stage.width / width, stage.height / height);
    this.box.style.width = `${width * scale}px`;
    this.box.style.height = `${height * scale}px`;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  drawMap(full, tone) {
    const { pressure, cols, rows } = this.map;
    paint(this.canvas, pressure, cols, rows, full, tone);
    this.fit();
  }

  drawJoints() {
    const { points, joint } = this.labels;
    const mm = points.map(([x, y]) => [10 * x * this.map.pitch_x_cm, 10 * y * this.map.pitch_y_cm]);
    for (const { ends: [a, b], line } of this.bones) {
      const place = { x1: mm[a][0], y1: mm[a][1], x2: mm[b][0], y2: mm[b][1] };
      for (const [key, value] of Object.entries(place)) line.setAttribute(key, value);
    }
    this.joints.forEach(({ group, text }, i) => {
      const [x, y, v] = points[i];
      group.setAttribute("transform", `translate(${mm[i][0]} ${mm[i][1]})`);
      Object.assign(group.dataset, { v, x, y });
      group.classList.toggle("current", i === joint);
      const outwards = this.#outwards(mm, i);
      text.setAttribute("x", outwards * 34);
      text.setAttribute("text-anchor", outwards > 0 ? "start" : "end");
    });
    this.svg.append(this.joints[joint].group); // on top
  }

  // A label stands on the side away from the other joint of its pair, so that the two never meet.
  #outwards(mm, i) {
    const other = mm[this.labels.mirrored[i]];
    if (this.labels.mirrored[i] === i) return 1;
    if (Math.abs(mm[i][0] - other[0]) < 1) return i < this.labels.mirrored[i] ? -1 : 1;
    return mm[i][0] < other[0] ? -1 : 1;
  }

  #add(parent, tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  }

  #taxels(event) {
    const box = this.svg.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.map.cols,
      ((event.clientY - box.top) / box.height) * this.map.rows,
    ];
  }

  // The joint under the pointer: the nearest, the current one if it is within reach too.
  #under([x, y]) {
    const far = ([a, b]) => 10 * Math.hypot((a - x) * this.map.pitch_x_cm, (b - y) * this.map.pitch_y_cm);
    const distances = this.labels.points.map(far);
    if (distances[this.labels.joint] <= GRAB_MM / 2) return this.labels.joint;
    const nearest = distances.indexOf(Math.min(...distances));
    return distances[nearest] <= GRAB_MM ? nearest : -1;
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.box.focus();
    const from = this.labels.points;
    const start = this.#taxels(event);
    const under = event.shiftKey ? -1 : this.#under(start);
    const joint = under >= 0 ? under : this.labels.joint;
    const offset = under >= 0 ? [from[joint][0] - start[0], from[joint][1] - start[1]] : [0, 0];
    const at = (e) => this.#taxels(e).map((value, i) => value + offset[i]);
    this.actions.select(joint);
    if (under < 0) this.actions.show(joint, ...start);
    this.box.setPointerCapture(event.pointerId);
    this.joints[joint].group.classList.add("held");
    let moved = under < 0;
    const listening = new AbortController();
    const on = (kind, handle) => this.box.addEventListener(kind, handle, { signal: listening.signal });
    const end = () => {
      listening.abort();
      this.joints[joint].group.classList.remove("held");
      this.dragging = false;
    };
    this.dragging = true;
    on("pointermove", (e) => {
      moved = true;
      this.actions.show(joint, ...at(e));
    });
    on("pointerup", (e) => {
      end();
      if (moved) this.actions.drop(joint, ...at(e), from);
    });
    on("pointercancel", () => {
      end();
      this.actions.revert(from);
    });
  }
}
