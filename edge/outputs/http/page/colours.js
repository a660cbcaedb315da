// From no pressure to full scale: even steps of lightness in OKLCH, from night blue over violet to rose white.

const STOPS = [
  [1, 3, 29], [20, 12, 79], [54, 29, 126], [93, 53, 160], [136, 80, 187], [183, 108, 207], [232, 142, 201],
  [254, 190, 204], [253, 242, 241],
];
const DARK = table(STOPS);
const LIGHT = table([[254, 252, 252], ...STOPS.slice(1, -1).reverse(), [18, 11, 60]]);

function table(stops) {
  const colours = new Uint8ClampedArray(4 * 256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[4 * i + c] = stops[below][c] + (at - below) * (stops[below + 1][c] - stops[below][c]);
    }
    colours[4 * i + 3] = 255;
  }
  return new Uint32Array(colours.buffer);
}

export const colours = (dark) => (dark ? DARK : LIGHT);

// values (width x height, any unit) as pixels of canvas; lightness goes by the root, so that light limbs show
export function paint(canvas, values, width, height, full, dark) {
  const lookup = colours(dark);
  const context = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) {
    const share = Math.min(Math.max(values[i] / full, 0), 1);
    pixels[i] = lookup[Math.round(255 * Math.sqrt(share))];
  }
  context.putImageData(image, 0, 0);
}

// Full scales are 1, 2 or 5 times a power of ten.
export function roundScale(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((digit) => digit * power >= value * (1 - 1e-9));
}
export const coarser = (full) => roundScale(full * 1.5);
export const finer = (full) => roundScale(full / 2.6);
