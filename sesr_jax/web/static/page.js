// The page: a photo comes in, each file upscales it by LiteRT.js, and the results are compared and saved.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { dequantise, padSize, planTiles, quantise, upscaleTile } from "./upscaling.js";

const find = (id) => document.getElementById(id);
const facts = await (await fetch("facts.json")).json();
const compiled = new Map(); // by file
const results = new Map(); // by the name of what is shown: a canvas
let latest = 0; // counts photos, so that work on an older one ends

const threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency ?? 1, 8) : 1;
const library = loadLiteRt("litert/core/wasm/", { threads: threads > 1 })
  .catch(() => loadLiteRt("litert/core/wasm/")); // without threads

/** Compiles a file for the CPU and, if all of it runs there, the GPU; resolves to the faster of the two. */
async function compile(file) {
  const litert = await library;
  const numThreads = Math.min(litert.liteRtWasm.getThreadCount(), threads);
  const model = await loadAndCompile(file.path, { accelerator: "wasm", cpuOptions: { numThreads } });
  const onCPU = { model, place: `CPU, ${numThreads} thread${numThreads > 1 ? "s" : ""}` };
  const onGPU = await compileForGPU(file);
  if (!onGPU) return onCPU;
  const isFaster = (await measure(file, onGPU.model)) < (await measure(file, onCPU.model));
  const [chosen, other] = isFaster ? [onGPU, onCPU] : [onCPU, onGPU];
  other.model.delete();
  return chosen;
}

/** Resolves to nothing where there is no GPU, or it does not run all of the file, such as integers. */
async function compileForGPU(file) {
  if (file.input || !(await navigator.gpu?.requestAdapter().catch(() => null))) return undefined;
  try {
    const model = await loadAndCompile(file.path, { accelerator: "webgpu", gpuOptions: { precision: "fp32" } });
    if (model.isFullyAccelerated) return { model, place: "GPU (WebGPU)" };
    model.delete();
  } catch (error) {
    console.info(`${file.path} does not run on the GPU: ${error}`);
  }
  return undefined;
}

/** Returns the seconds that a tile takes when it runs for the second time. */
async function measure(file, model) {
  const tile = new Float32Array(facts.tile[0] * facts.tile[1] * facts.channels);
  await run(file, model, tile);
  const start = performance.now();
  await run(file, model, tile);
  return (performance.now() - start) / 1000;
}

/** Returns the output of a compiled file for the input `values`, both of [0, 1]. */
async function run(file, model, values) {
  const input = new Tensor(file.input ? quantise(values, file.input) : values, [1, ...facts.tile, facts.channels]);
  const [output] = await model.run(input);
  const data = await output.data();
  const result = file.output ? dequantise(data, file.output) : Float32Array.from(data);
  input.delete();
  output.delete();
  return result;
}

/** Upscales the canvas of `source`; `say` hears of each tile. Resolves to a canvas, and the seconds it took. */
async function upscale(file, source, width, height, say) {
  const { scale } = facts;
  if (!compiled.has(file)) compiled.set(file, compile(file));
  const { model, place } = await compiled.get(file);
  await measure(file, model); // which warms it up
  const target = makeContext(scale * width, scale * height);
  const tiles = planTiles(facts, source.canvas.height, source.canvas.width);
  const start = performance.now();
  let network = 0;
  for (const [done, { row, column }] of tiles.entries()) {
    const [h, w] = [row.stop - row.start, column.stop - column.start];
    const pixels = source.getImageData(column.start, row.start, w, h).data;
    const large = await upscaleTile(facts, pixels, h, w, async (values) => {
      const before = performance.now();
      const output = await run(file, model, values);
      network += performance.now() - before;
      return output;
    });
    target.putImageData(
      new ImageData(large, scale * w, scale * h), scale * column.start, scale * row.start,
      scale * (column.first - column.start), scale * (row.first - row.start),
      scale * (column.last - column.first), scale * (row.last - row.first));
    await say((done + 1) / tiles.length);
  }
  return { canvas: target.canvas, place, network: network / 1000, seconds: (performance.now() - start) / 1000 };
}

/** Returns the context of a new white canvas without alpha. */
function makeContext(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (context) context.fillStyle = "#fff";
  context?.fillRect(0, 0, width, height); // which leaves no trace in a canvas that is too large
  if (!context?.getImageData(0, 0, 1, 1).data[0]) throw new RangeError("the canvas is too large");
  return context;
}

/** Returns the context of the photo on white, with its last pixels repeated up to the size that tiles cover. */
function drawPhoto(bitmap) {
  const { width, height } = bitmap;
  const [tall, wide] = padSize(facts, height, width);
  const context = makeContext(wide, tall);
  const { canvas } = context;
  context.drawImage(bitmap, 0, 0);
  context.imageSmoothingEnabled = false;
  if (wide > width) context.drawImage(canvas, width - 1, 0, 1, height, width, 0, wide - width, height);
  if (tall > height) context.drawImage(canvas, 0, height - 1, wide, 1, 0, height, wide, tall - height);
  return context;
}

async function takePhoto(photo) {
  const mine = ++latest;
  let bitmap;
  try {
    bitmap = await createImageBitmap(photo);
  } catch {
    return say(`This browser can't read ${photo.name} as an image.`);
  }
  try {
    const { width, height } = bitmap;
    const source = drawPhoto(bitmap);
    results.clear();
    const shown = makeContext(width, height);
    shown.drawImage(source.canvas, 0, 0);
    results.set("photo", shown.canvas);
    for (const [index, file] of facts.files.entries()) {
      const done = await upscale(file, source, width, height, async (part) => {
        say(`${photo.name}, ${width}×${height}: ${file.name} …`, (index + part) / facts.files.length);
        await new Promise((resolve) => setTimeout(resolve)); // so that the page can be drawn
        if (mine !== latest) throw new Superseded();
      });
      results.set(file.name, done.canvas);
      showTimes(index, done, `${photo.name.replace(/\.[^.]*$/, "")}_x${facts.scale}_${file.name}.png`);
      choosePair(index ? find("pair").value : `photo,${file.name}`);
    }
    say(`${photo.name}: ${width}×${height} → ${facts.scale * width}×${facts.scale * height}`);
  } catch (error) {
    if (error instanceof Superseded) return;
    console.error(error);
    say(error instanceof RangeError
      ? `${photo.name} is too large for this browser: take a smaller one, or sesr upscale.`
      : `${photo.name} could not be upscaled: ${error.message ?? error}`);
  }
}

class Superseded extends Error {}

function say(text, part) {
  find("status").textContent = text;
  find("progress").hidden = part === undefined;
  find("progress").value = part ?? 0;
  document.body.dataset.state = part === undefined ? "idle" : "busy";
}

function showTimes(index, { place, network, seconds, canvas }, name) {
  find("times").hidden = false;
  const cell = (id) => find(`${id}${index}`);
  cell("place").textContent = place;
  cell("network").textContent = `${network.toFixed(2)} s`;
  cell("seconds").textContent = `${seconds.toFixed(2)} s`;
  const button = cell("save");
  button.disabled = false;
  button.onclick = () => canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

/** Lays the two images that `pair` names under the slider, once there are both. */
function choosePair(pair) {
  const names = pair.split(",");
  if (!names.every((name) => results.has(name))) return;
  find("pair").value = pair;
  for (const [side, label, name] of [["before", "left", names[0]], ["after", "right", names[1]]]) {
    find("compare").querySelector(`.${side}`).replaceChildren(results.get(name));
    find("compare").querySelector(`.${label}`).textContent = name;
  }
  find("result").hidden = false;
  chooseSize();
}

/** Fits the images into the window, or shows each of their pixels. */
function chooseSize() {
  const { width } = results.get(facts.files[0].name);
  const whole = find("whole").checked;
  find("compare").style.width = whole ? `${width / devicePixelRatio}px` : "";
  find("compare").style.maxWidth = whole ? "none" : `${width}px`;
  const view = find("view");
  if (whole) view.scrollTo((view.scrollWidth - view.clientWidth) / 2, (view.scrollHeight - view.clientHeight) / 2);
}

find("photo").addEventListener("change", ({ target }) => target.files[0] && takePhoto(target.files[0]));
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "drop" && event.dataTransfer.files[0]) takePhoto(event.dataTransfer.files[0]);
  });
}
find("pair").addEventListener("change", (event) => choosePair(event.target.value));
find("whole").addEventListener("change", chooseSize);
say("");
library.catch((error) => say(`LiteRT.js can't be loaded: ${error.message ?? error}`));
