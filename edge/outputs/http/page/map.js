// The pressure map with the skeleton, on one canvas in centimetres; eased between frames when smooth.

import { paint } from "./colours.js";

const EASE_MS = 90;
const SETTLED_MS = 700;
const FINER = 5; // pixels a taxel when smooth
const RAW_MOST_PIXELS = 3; // device pixels a CSS pixel
const side = (joint) => ({ r_: "right", l_: "left" })[joint.slice(0, 2)] ?? "middle";
function boneSide(a, b) {
  const sides = new Set([side(a), side(b)]);
  return sides.has("right") && sides.has("left") ? "middle" : [...sides].find((one) => one !== "middle") ?? "middle";
}

// Catmull-Rom through the taxels' centres: [offset of the first of four taxels, their weights], for each of FINER places
const WEIGHTS = Array.from({ length: FINER }, (_, i) => {
  const place = (i + 0.5) / FINER - 0.5;
  const first = Math.floor(place);
  const t = place - first;
  const weights = [
    ((2 - t) * t - 1) * t, (3 * t - 5) * t * t + 2, ((4 - 3 * t) * t + 1) * t, (t - 1) * t * t,
  ].map((w) => w / 2);
  return [first - 1, weights];
});

function refine(values, n, step, lines, lineStep, out, outStep, outLineStep) {
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < FINER; j++) {
        const [offset, weights] = WEIGHTS[j];
        let sum = 0;
        for (let k = 0; k < 4; k++) {
          const at = Math.min(Math.max(i + offset + k, 0), n - 1);
          sum += weights[k] * values[line * lineStep + at * step];
        }
        out[line * outLineStep + (i * FINER + j) * outStep] = sum;
      }
    }
  }
  return out;
}

export class MapView {
  constructor(canvas, bones) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.taxels = document.createElement("canvas");
    this.bones = bones;
    this.smooth = this.skeleton = true;
    this.full = 100;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.dark.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement.parentElement);
  }

  // frame: { hello, pose, picture }; `eased` when it follows the one before in time
  show(frame, eased) {
    const before = this.frame;
    const sameGrid = before && before.values.length === frame.picture?.samples.length && before.hello === frame.hello;
    this.frame = { ...frame, ...this.#values(frame) };
    if (!sameGrid) this.fit();
    if (!eased || !sameGrid || !this.smooth || this.still.matches) this.shown = null;
    this.since = performance.now();
    this.redraw();
  }

  clear() {
    this.frame = this.shown = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  redraw() {
    this.request ??= requestAnimationFrame((now) => this.#turn(now));
  }

  fit() {
    if (!this.frame) return;
    const { cols, rows, pitch_x_cm, pitch_y_cm } = this.frame.hello.grid;
    const [width, height] = [cols * pitch_x_cm, rows * pitch_y_cm];
    const stage = this.canvas.parentElement.parentElement.getBoundingClientRect();
    const scale = Math.min(stage.width / width, stage.height / height);
    const ratio = Math.min(devicePixelRatio, RAW_MOST_PIXELS);
    this.canvas.style.width = `${width * scale}px`;
    this.canvas.style.height = `${height * scale}px`;
    this.canvas.width = Math.round(width * scale * ratio);
    this.canvas.height = Math.round(height * scale * ratio);
    this.redraw();
  }

  #values({ hello, pose, picture }) {
    const taxels = hello.grid.rows * hello.grid.cols;
    const values = picture ? Float32Array.from(picture.samples, (s) => s * picture.step) : new Float32Array(taxels);
    const names = hello.joint_names;
    const smooth = pose.joints && names.map((n) => [pose.joints[n].x_cm, pose.joints[n].y_cm, pose.joints[n].confidence]);
    return { values, joints: smooth, rawJoints: picture?.raw_joints ?? smooth };
  }

  #turn(now) {
    this.request = null;
    if (!this.frame) return;
    const { values, joints, rawJoints, pose } = this.frame;
    if (!this.smooth) this.#draw(values, rawJoints, pose.cop_cm);
    else if (!this.shown || now - this.since > SETTLED_MS) {
      this.shown = { values: values.slice(), joints: structuredClone(joints), now };
      this.#draw(values, joints, pose.cop_cm);
    } else {
      const share = 1 - Math.exp(-(now - this.shown.now) / EASE_MS);
      this.shown.now = now;
      const mix = (from, to) => to.forEach((value, i) => (from[i] += share * (value - from[i])));
      mix(this.shown.values, values);
      if (joints && this.shown.joints) joints.forEach((joint, i) => mix(this.shown.joints[i], joint));
      else this.shown.joints = structuredClone(joints);
      this.#draw(this.shown.values, this.shown.joints, pose.cop_cm);
      this.redraw();
    }
  }

  #draw(values, joints, centre) {
    const { canvas, context, taxels, dark } = this;
    const { cols, rows, pitch_x_cm } = this.frame.hello.grid;
    if (this.smooth) {
      const wide = refine(values, cols, 1, rows, cols, new Float32Array(values.length * FINER), 1, cols * FINER);
      const fine = new Float32Array(wide.length * FINER);
      refine(wide, rows, cols * FINER, cols * FINER, 1, fine, cols * FINER, 1);
      paint(taxels, fine, cols * FINER, rows * FINER, this.full, dark.matches);
    } else paint(taxels, values, cols, rows, this.full, dark.matches);
    context.imageSmoothingEnabled = this.smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(taxels, 0, 0, canvas.width, canvas.height);
    if (!this.skeleton) return;
    context.save();
    context.scale(canvas.width / (cols * pitch_x_cm), canvas.width / (cols * pitch_x_cm));
    if (centre) this.#centre(...centre);
    if (joints) this.#skeleton(joints);
    context.restore();
  }

  #skeleton(joints) {
    const { context } = this;
    const style = getComputedStyle(this.canvas);
    const colour = (part) => style.getPropertyValue(`--${part}`);
    const names = this.frame.hello.joint_names;
    const index = (name) => names.indexOf(name);
    context.lineCap = context.lineJoin = "round";
    for (const halo of [true, false]) {
      for (const [a, b] of this.bones) {
        const [from, to] = [joints[index(a)], joints[index(b)]];
        const sure = Math.min(from[2], to[2]);
        context.globalAlpha = 0.3 + 0.7 * sure;
        context.strokeStyle = colour(halo ? "halo" : boneSide(a, b));
        context.lineWidth = 0.7 + 0.9 * sure + (halo ? 0.9 : 0);
        context.beginPath();
        context.moveTo(from[0], from[1]);
        context.lineTo(to[0], to[1]);
        context.stroke();
      }
    }
    joints.forEach(([x, y, sure], i) => {
      context.globalAlpha = 0.4 + 0.6 * sure;
      context.beginPath();
      context.arc(x, y, names[i] === "head" ? 3.2 : 1.5, 0, 2 * Math.PI);
      context.fillStyle = colour(side(names[i]));
      context.strokeStyle = colour("halo");
      context.lineWidth = 0.9;
      context.stroke();
      context.fill();
    });
    context.globalAlpha = 1;
  }

  #centre(x, y) {
    const { context } = this;
    const style = getComputedStyle(this.canvas);
    for (const [name, width] of [["--halo", 1.5], ["--middle", 0.6]]) {
      context.strokeStyle = style.getPropertyValue(name);
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 2, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 1.2 * dx, y + 1.2 * dy);
        context.lineTo(x + 3.4 * dx, y + 3.4 * dy);
      }
      context.stroke();
    }
  }
}
