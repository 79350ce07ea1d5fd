// What an upscaler of photos computes around its network: tiles, luma, and colours by bicubic interpolation.
//
// It follows sesr_jax.upscale step by step, in float32 where that is float32. `facts` are those of facts.json.

/** Returns the tiles along one axis: the input [start, stop), and its part [first, last) whose output is kept. */
export function splitAxis(length, size, halo, align) {
  if (size >= length) return [{ start: 0, stop: length, first: 0, last: length }];
  const step = Math.floor((size - 2 * halo) / align) * align;
  const starts = [];
  for (let start = 0; start < length - size; start += step) starts.push(start);
  starts.push(length - size);
  return starts.map((start) => ({
    start,
    stop: start + size,
    first: start ? start + halo : 0,
    last: start + size < length ? start + size - halo : length,
  }));
}

/** Returns the height and width of an image that the tiles of `facts` cover, at least `height` and `width`. */
export function padSize(facts, height, width) {
  return [height, width].map((length, axis) =>
    Math.max(facts.tile[axis], Math.ceil(length / facts.align) * facts.align));
}

/** Returns all tiles of an image whose size is that of `padSize`, as pairs of rows and columns. */
export function planTiles(facts, height, width) {
  const [rows, columns] = [height, width].map((length, axis) =>
    splitAxis(length, facts.tile[axis], facts.halo, facts.align));
  return rows.flatMap((row) => columns.map((column) => ({ row, column })));
}

/**
 * Upscales the RGBA bytes of one tile, and returns those of the result, which are opaque.
 *
 * `run` takes the network's input as a Float32Array [height, width, channels] in [0, 1], and resolves to its output.
 */
export async function upscaleTile(facts, bytes, height, width, run) {
  const { scale, channels } = facts;
  const rgb = toFloats(bytes);
  const result = new Uint8ClampedArray(4 * height * width * scale * scale).fill(255);
  if (channels === 3) {
    const large = await run(rgb);
    for (let i = 0, o = 0; i < large.length; i += 3, o += 4) {
      for (let c = 0; c < 3; c++) result[o + c] = toByte(large[i + c]);
    }
    return result;
  }
  const [luma, ...chroma] = [0, 1, 2].map((c) => mix(rgb, facts.toYCbCr, c));
  const large = await run(luma);
  const [blue, red] = chroma.map((plane) => enlarge(plane, height, width, facts.bicubic));
  const { matrix, offset } = facts.toRGB;
  for (let i = 0; i < large.length; i++) {
    for (let c = 0; c < 3; c++) {
      result[4 * i + c] = toByte(
        large[i] * matrix[0][c] + blue[i] * matrix[1][c] + red[i] * matrix[2][c] + offset[c]);
    }
  }
  return result;
}

/** Returns the codes of `values` for a tensor of whole numbers, as `quantisation` has them. */
export function quantise(values, { scale, zero_point }) {
  const step = Math.fround(scale);
  return Uint8Array.from(values, (x) =>
    Math.min(255, Math.max(0, roundToEven(Math.fround(x / step)) + zero_point)));
}

/** Returns the values that `codes` stand for. */
export function dequantise(codes, { scale, zero_point }) {
  return Float32Array.from(codes, (code) => (code - zero_point) * Math.fround(scale));
}

function toFloats(bytes) {
  const rgb = new Float32Array((bytes.length / 4) * 3);
  for (let i = 0, o = 0; i < bytes.length; i += 4, o += 3) {
    for (let c = 0; c < 3; c++) rgb[o + c] = bytes[i + c] / 255;
  }
  return rgb;
}

function mix(rgb, { matrix, offset }, channel) {
  const [r, g, b] = matrix.map((row) => Math.fround(row[channel]));
  const shift = Math.fround(offset[channel]);
  const f = Math.fround;
  return Float32Array.from({ length: rgb.length / 3 }, (_, i) =>
    f(f(f(rgb[3 * i] * r) + f(rgb[3 * i + 1] * g)) + f(rgb[3 * i + 2] * b)) + shift);
}

/** Enlarges a plane: the pixels of each phase are weighted sums of its neighbours, mirrored at the edges. */
function enlarge(plane, height, width, phases) {
  const scale = phases.length;
  const [rows, columns] = [height, width].map((length) => neighbours(length, phases));
  const wide = new Float64Array(height * width * scale);
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < width * scale; x++, o++) {
      const { weights } = phases[x % scale];
      for (let k = 0; k < weights.length; k++) wide[o] += weights[k] * plane[y * width + columns[x][k]];
    }
  }
  const large = new Float32Array(wide.length * scale);
  for (let y = 0, o = 0; y < height * scale; y++) {
    const { weights } = phases[y % scale];
    for (let x = 0; x < width * scale; x++, o++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * wide[rows[y][k] * width * scale + x];
      large[o] = sum;
    }
  }
  return large;
}

function neighbours(length, phases) {
  return Array.from({ length: length * phases.length }, (_, o) => {
    const { first, weights } = phases[o % phases.length];
    return weights.map((_, k) => {
      const place = Math.floor(o / phases.length) + first + k;
      const period = ((place % (2 * length)) + 2 * length) % (2 * length);
      return Math.min(period, 2 * length - 1 - period);
    });
  });
}

function toByte(value) {
  return Math.floor(Math.min(1, Math.max(0, value)) * 255 + 0.5);
}

function roundToEven(x) {
  const near = Math.round(x);
  return near - x === 0.5 && near % 2 ? near - 1 : near;
}
