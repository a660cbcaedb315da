// The last minutes of one mat, bounded, and where in them we look.

const FRAMES_MOST = 3000; // of all mats together: about 20 MB at 64 x 32

export class History {
  constructor(mats) {
    this.most = Math.floor(FRAMES_MOST / mats);
    this.frames = [];
    this.first = 0; // number of the oldest frame kept
    this.at = null; // number of the frame looked at; null is live
  }

  get live() { return this.at === null; }
  get length() { return this.frames.length; }
  get newest() { return this.frames.at(-1); }
  get place() { return this.live ? this.length - 1 : this.at - this.first; }
  get frame() { return this.frames[this.place]; }
  // seconds between the frame looked at and the newest
  get behind() { return this.length ? this.newest.pose.ts - this.frame.pose.ts : 0; }

  push(frame) {
    this.frames.push(frame);
    if (this.length > this.most) {
      this.frames.shift();
      this.first++;
    }
    if (!this.live) this.at = Math.max(this.at, this.first);
  }

  look(place) {
    if (this.length) this.at = this.first + Math.min(Math.max(place, 0), this.length - 1);
  }

  clear() {
    this.frames = [];
    this.first = 0;
    this.goLive();
  }

  goLive() { this.at = null; }
}
