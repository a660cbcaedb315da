// The recording that is played: where it is, and what is asked of it, one request after the other.

const END_S = 0.001;

const pad = (n) => String(n).padStart(2, "0");

// 3:07, 1:02:03
export function duration(s) {
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return (h ? `${h}:${pad(m)}` : m) + ":" + pad(Math.floor(s) % 60);
}

export class Replay {
  // ask: (action, more) => promise of { ok }; answered: () => all that was asked has been
  constructor(ask, answered) {
    this.ask = ask;
    this.answered = answered;
    this.now = null; // { position_s, length_s, paused } as the daemon said last; null where nothing is replayed
    this.target_s = 0;
    this.waiting = [];
    this.busy = this.held = this.pausing = this.seeking = false;
  }

  // as was asked for last
  get paused() { return Boolean(this.now && (this.busy ? this.pausing : this.now.paused)) && !this.held; }
  get position_s() { return this.seeking ? this.target_s : this.now.position_s; }

  get atEnd() { return this.position_s > this.now.length_s - END_S; }

  pause() { this.#want("pause"); }
  resume() { this.#want("resume"); }

  seek(at_s) {
    const { length_s } = this.now;
    this.seeking = true;
    this.target_s = Math.min(Math.max(at_s, 0), length_s);
    if (this.atEnd) this.pause(); // else the run would end there
    this.waiting = this.waiting.filter(({ action }) => action !== "seek");
    this.#want("seek", { at_s: this.target_s });
  }

  // between hold and release somebody has the scrubber in hand
  hold() {
    if (!this.now || this.paused || this.held) return;
    this.held = true;
    this.pause();
  }

  release() {
    if (!this.held) return;
    this.held = false;
    if (this.now && !this.atEnd) this.resume();
  }

  async #want(action, more = {}) {
    if (!this.busy) this.pausing = this.now.paused;
    if (action !== "seek") this.pausing = action === "pause";
    this.waiting.push({ action, more });
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length) {
      const next = this.waiting.shift();
      const { ok } = await this.ask(next.action, next.more);
      if (!ok || !this.now) continue;
      if (next.action === "seek") this.now.position_s = next.more.at_s;
      else this.now.paused = next.action === "pause";
    }
    this.busy = this.seeking = false;
    this.answered();
  }
}
