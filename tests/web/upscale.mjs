// Upscales as the page does, by a stand-in for the network: prints the tiles and the bytes of the result as JSON.

import fs from "node:fs";

const { facts, bytes, height, width, script } = JSON.parse(fs.readFileSync(0));
const { padSize, planTiles, upscaleTile } = await import(script);
const { scale, channels, halo } = facts;

/** Each output pixel mixes two input pixels as far away as the halo reaches; those that are missing are 0. */
function look(values, h, w) {
  const at = (y, x, c) => (y < 0 || x < 0 || y >= h || x >= w ? 0 : values[(y * w + x) * channels + c]);
  return Float32Array.from({ length: values.length * scale * scale }, (_, i) => {
    const place = Math.floor(i / channels);
    const [y, x] = [Math.floor(place / (w * scale) / scale), Math.floor((place % (w * scale)) / scale)];
    return 0.3141 * at(y - halo, x - halo, i % channels) + 0.6859 * at(y + halo, x + halo, i % channels);
  });
}

const [tall, wide] = padSize(facts, height, width);
const tiles = planTiles(facts, tall, wide);
const result = new Array(height * width * scale * scale * 3).fill(-1);
for (const { row, column } of tiles) {
  const [h, w] = [row.stop - row.start, column.stop - column.start];
  const pixels = new Uint8ClampedArray(4 * h * w);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = Math.min(row.start + y, height - 1) * width + Math.min(column.start + x, width - 1);
      for (let c = 0; c < 3; c++) pixels[4 * (y * w + x) + c] = bytes[3 * from + c];
    }
  }
  const large = await upscaleTile(facts, pixels, h, w, (values) => look(values, h, w));
  for (let y = scale * row.first; y < scale * Math.min(row.last, height); y++) {
    for (let x = scale * column.first; x < scale * Math.min(column.last, width); x++) {
      const from = (y - scale * row.start) * scale * w + x - scale * column.start;
      for (let c = 0; c < 3; c++) result[3 * (y * width * scale + x) + c] = large[4 * from + c];
    }
  }
}
console.log(JSON.stringify({ tiles, result }));
