// Sends every change to train-annotate and says whether it is on the disk. What could not be sent is tried again.

const AGAIN_MS = 1000;
const KNOWN_MOST = 20; // an answer gets lost where train-annotate ends, and what is sent then finds nobody

export class Saver {
  constructor({ file_id, maps }, tell) {
    this.tell = tell; // (kind: good, bad or empty while under way, text)
    this.file_id = file_id;
    // map name -> what may be kept: what was confirmed, and what was sent since; else another page changed it
    this.known = new Map(maps.map(({ name, points, accepted }) => [name, [{ points, accepted }]]));
    this.waiting = new Map(); // map name -> newest label: older ones need not be sent
    this.busy = false;
    addEventListener("beforeunload", (event) => { if (this.waiting.size || this.busy) event.preventDefault(); });
  }

  save(label) {
    this.waiting.delete(label.name);
    this.waiting.set(label.name, label);
    this.tell("", "saving ...");
    if (!this.busy) this.#send();
  }

  async #send() {
    this.busy = true;
    while (this.waiting.size) {
      const [name, label] = this.waiting.entries().next().value;
      const problem = await this.#post(label);
      if (problem === null) {
        if (this.waiting.get(name) === label) this.waiting.delete(name);
      } else {
        this.tell("bad", `not saved: ${problem}`);
        if (this.waiting.get(name) === label) { // to the end of the queue: what is refused keeps no other waiting
          this.waiting.delete(name);
          this.waiting.set(name, label);
        }
        await new Promise((wake) => setTimeout(wake, AGAIN_MS));
      }
    }
    this.busy = false;
    this.tell("good", "every change is saved");
  }

  // null, or what is wrong.
  async #post(label) {
    const { name, points, accepted } = label;
    const known = this.known.get(name);
    const body = JSON.stringify({ ...label, file_id: this.file_id, known });
    if (known.length < KNOWN_MOST) known.push({ points, accepted });
    try {
      const response = await fetch("label", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (response.ok) {
        this.known.set(name, [{ points, accepted }]);
        return null;
      }
      const text = await response.text();
      try { return JSON.parse(text).problem; } catch { return text.trim(); }
    } catch {
      return "train-annotate has ended: start it again and leave this page open";
    }
  }
}
