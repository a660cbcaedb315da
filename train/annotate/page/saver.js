// Sends every change to train-annotate and says whether it is on the disk. What could not be sent is tried again.

const AGAIN_MS = 1000;

export class Saver {
  constructor(tell) {
    this.tell = tell; // (kind: good, bad or empty while under way, text)
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
        await new Promise((wake) => setTimeout(wake, AGAIN_MS));
      }
    }
    this.busy = false;
    this.tell("good", "every change is saved");
  }

  // null, or what is wrong.
  async #post(label) {
    try {
      const response = await fetch("label", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(label),
      });
      if (response.ok) return null;
      const text = await response.text();
      try { return JSON.parse(text).problem; } catch { return text.trim(); }
    } catch {
      return "train-annotate has ended: start it again and leave this page open";
    }
  }
}
