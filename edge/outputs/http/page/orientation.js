// What `turn` is asked for: --orientation's words, "0" to "270" and "mirrored-0" to "mirrored-270".
// The device's columns are mirrored first, then the frame is turned counter-clockwise.

export function turned(orientation, how) {
  const mirrored = orientation.startsWith("mirrored-");
  const degrees = Number(orientation.replace("mirrored-", ""));
  const name = (flip, turn) => (flip ? "mirrored-" : "") + ((turn + 360) % 360);
  return how === "mirror" ? name(!mirrored, -degrees) : name(mirrored, degrees + Number(how));
}
