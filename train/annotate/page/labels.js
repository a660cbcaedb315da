// What is marked: points of every map, the current map and joint, and the way back. Knows nothing of the page.

const MOST_STEPS = 500;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Labels {
  constructor(session, storage) {
    this.maps = session.maps;
    this.names = session.joints;
    this.mirrored = session.mirrored;
    this.states = this.maps.map((m) => ({
      points: m.points ?? m.guess,
      accepted: m.accepted,
      begun: m.points !== null,
    }));
    this.joint = 0;
    this.map = Math.max(0, this.states.findIndex((s) => !s.accepted));
    this.done = [];
    this.undone = [];
    this.changed = () => {}; // (map index, state) after every change that must be kept
    this.storage = storage;
    this.key = `history-${session.id}`;
    this.#recall();
  }

  get state() { return this.states[this.map]; }
  get points() { return this.state.points; }
  get accepted() { return this.states.filter((s) => s.accepted).length; }

  select(joint) { this.joint = (joint + this.names.length) % this.names.length; }
  go(map) {
    this.map = Math.min(Math.max(map, 0), this.maps.length - 1);
    this.joint = 0;
  }

  // While something is dragged: seen, not kept.
  show(joint, x, y) { this.revert(this.#moved(this.points, joint, x, y)); }
  revert(points) { this.states[this.map] = { ...this.state, points }; }

  // `from`: the points before the drag. `more`: goes on with the step before (a key held down).
  place(joint, x, y, { from = this.points, more = false } = {}) {
    this.#step({ points: this.#moved(from, joint, x, y) }, { ...this.state, points: from }, more);
  }
  nudge(dx, dy, more) {
    const [x, y] = this.points[this.joint];
    this.place(this.joint, x + dx, y + dy, { more });
  }
  see(v) { this.#step({ points: this.points.map((p, i) => (i === this.joint ? [p[0], p[1], v] : p)) }); }
  mirror() { this.#step({ points: this.mirrored.map((i) => this.points[i]) }); }
  reset() { this.#step({ points: this.maps[this.map].guess }); }

  // True when it was the last open one.
  accept() {
    const was = this.state.accepted;
    this.#step({ accepted: true });
    const open = (s) => !s.accepted;
    const later = this.states.findIndex((s, i) => i > this.map && open(s));
    const next = later >= 0 ? later : this.states.findIndex(open);
    this.go(next >= 0 ? next : this.map + 1);
    return next < 0 && !was;
  }

  undo() { this.#back(this.done, this.undone, "before"); }
  redo() { this.#back(this.undone, this.done, "after"); }

  #moved(points, joint, x, y) {
    const { cols, rows } = this.maps[this.map];
    const within = (value, most) => Math.round(Math.min(Math.max(value, 0), most) * 100) / 100;
    return points.map((p, i) => (i === joint ? [within(x, cols), within(y, rows), p[2]] : p));
  }

  #step(change, before = this.state, more = false) {
    const after = { ...before, begun: true, ...change };
    if (same(after.points, before.points) && after.accepted === before.accepted) {
      this.states[this.map] = before;
      return;
    }
    const last = this.done.at(-1);
    if (more && last && last.map === this.map && last.joint === this.joint) last.after = after;
    else this.done.push({ map: this.map, joint: this.joint, before, after });
    this.done.splice(0, this.done.length - MOST_STEPS);
    this.undone = [];
    this.#set(this.map, after);
  }

  #back(from, to, side) {
    const step = from.pop();
    if (!step) return;
    to.push(step);
    this.map = step.map;
    this.joint = step.joint;
    this.#set(step.map, step[side]);
  }

  #set(map, state) {
    this.states[map] = state;
    this.changed(map, state);
    this.#remember();
  }

  #remember() {
    try {
      const { done, undone, map, joint } = this;
      this.storage.setItem(this.key, JSON.stringify({ done, undone, map, joint }));
    } catch { /* a full or forbidden storage costs the undo steps after a reload, nothing else */ }
  }

  // The steps of before a reload, if they lead to what the file says.
  #recall() {
    try {
      const kept = JSON.parse(this.storage.getItem(this.key));
      if (!kept) return;
      const shown = new Map(kept.done.map((step) => [step.map, step.after]));
      for (const step of kept.undone) shown.set(step.map, step.before);
      for (const [map, state] of shown) {
        if (!same(this.states[map].points, state.points) || this.states[map].accepted !== state.accepted) return;
      }
      Object.assign(this, { done: kept.done, undone: kept.undone, map: kept.map, joint: kept.joint });
    } catch { /* begin without */ }
  }
}
