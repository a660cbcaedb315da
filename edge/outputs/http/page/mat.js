// What the page knows of one mat.

import { roundScale } from "./colours.js";
import { Speed } from "./figures.js";
import { History } from "./history.js";

const FIRST_FULL = { kPa: 10, counts: 100 };
const ABOVE = 0.03; // of the taxels may be above the scale

export class Mat {
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

  // what was before in another unit cannot be shown beside what comes
  meet(hello) {
    if (this.hello && this.hello.units.pressure !== hello.units.pressure) {
      this.history.clear();
      this.full = null;
      this.chosen = false;
    }
    this.hello = hello;
  }

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
