"""The doors at which strangers' files come in: sound samples, their mutations, and what is done to them.

make_samples(folder)
DOORS["tflite"].enter(path, folder)        # returns, or raises InputError
"""

import contextlib
import dataclasses
import io
import json
import pathlib
import random
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks import fuzz_mutations as mutations
from sesr_jax import train
from sesr_jax.data import open_embedded
from sesr_jax.errors import InputError
from sesr_jax.export import Options, export_network, replay_golden
from sesr_jax.export.describe import describe
from sesr_jax.export.describe_onnx import describe_onnx
from sesr_jax.importers import import_weights, read_arrays
from sesr_jax.models import create, network
from sesr_jax.npu import estimate, layers_from_tflite, list_refusals
from sesr_jax.quant import RANGES, find_points
from sesr_jax.recipes import read_config
from sesr_jax.targets import find_target
from sesr_jax.targets.load import __file__ as targets
from sesr_jax.train import checkpoint, load_network
from sesr_jax.train.history import read_history
from sesr_jax.train.stages import plan
from sesr_jax.train.validation import validate
from sesr_jax.upscale import bicubic_upscaler, from_onnx, from_tflite, upscale_file, upscale_photo

SIZE = (24, 32)
"""The height and width that the files are for."""


class WrongSuccessError(Exception):
    """A file was taken, and what came of it is no image of the right size in finite numbers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Door:
    """A kind of file, or a folder that one file of is changed.

    Attributes:
      samples: the names of sound files in the folder of samples.
      mutate: makes a case out of a sample.
      enter: does what commands do to a file; its second argument is the folder of samples.
      file: the path of the changed file inside the case's folder; the name of the sample where it is empty.
      beside: further files of the folder of samples that a case needs beside it.
    """

    samples: tuple[str, ...]
    mutate: mutations.Mutate
    enter: Callable[[pathlib.Path, pathlib.Path], None]
    file: str = ""
    beside: tuple[str, ...] = ()


def make_samples(folder: pathlib.Path) -> None:
    """Writes the sound files that all cases begin with; what is there already stays."""
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    small = {"expansion": 4, "features": 4}
    large = network.init("sesr_m3", scale=2, key=jax.random.key(0), **small)
    made = network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), **small).collapse()
    network.save(large, folder / "expanded.safetensors")
    network.save(made, folder / "collapsed.safetensors")
    ranges = {name: np.float32(pair) for name, pair in _calibrate(made).items()}
    quantised = dataclasses.replace(made, variables={**made.variables, RANGES: ranges})
    network.save(quantised, folder / "quantised.safetensors")
    for name, precision in (("int8", "int8"), ("float", "float32")):
        options = Options(converter="litert", precision=precision)
        images = open_embedded("train")[:1]
        for suffix in ("tflite", "onnx"):
            export_network(
                made,
                folder / f"{name}.{suffix}",
                size=SIZE,
                calibration=images if precision == "int8" else None,
                options=options,
            )
    unsigned = folder / "unsigned.onnx"
    export_network(made, unsigned, size=SIZE, calibration=images, options=Options(io="uint8"))
    write_npz(folder)
    _write_torch(folder / "state.pt")
    shipped = pathlib.Path(targets).parent
    for name in ("roofline", "ethos-n78-4tops"):
        find_target(name)
        (folder / f"{name}.toml").write_bytes((shipped / f"{name}.toml").read_bytes())
    config = train.apply_variant(train.base(), "smoke")
    config.model.update(name="sesr_m3", scale=2)
    config.model.options.update(small)
    train.train(config, folder / "run", progress=False)
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    for suffix in ("png", "jpg", "webp", "bmp", "tif"):
        Image.fromarray(pixels).save(folder / f"photo.{suffix}")
    _write_video(folder / "clip.mp4")
    (folder / "done").touch()


def _calibrate(made):  # type: ignore[no-untyped-def]
    graph = made.trace((1, *SIZE, made.channels))
    found = find_points(graph)
    return {key: found.fixed.get(key, (-2.0, 2.0)) for key in found.group.values()}


def write_npz(folder: pathlib.Path) -> None:
    """Writes arrays to .npz files, as they are and as a pickled dict."""
    arrays: dict[str, Any] = {"a/kernel": np.zeros((3, 3, 1, 4)), "b": np.zeros(4)}
    np.savez(folder / "arrays.npz", **arrays)
    np.savez(folder / "pickled.npz", np.array({"a": arrays}, object))


def _write_torch(path: pathlib.Path) -> None:
    """Writes what torch.save writes of {"w": zeros(2, 3)}."""
    pickled = (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00"
        b"storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x06tq\x07Q"
        b"K\x00K\x02K\x03\x86q\x08K\x03K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0d"
        b"s."
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/data/0", bytes(24))
        archive.writestr("archive/version", b"3\n")


def _write_video(path: pathlib.Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for shade in (0, 128, 255):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), shade, np.uint8), "rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())


def _upscale(upscaler) -> None:  # type: ignore[no-untyped-def]
    """Upscales a small photo, and looks at the result."""
    photo = np.arange(30 * 40 * 3).reshape(30, 40, 3).astype(np.uint8)
    large = upscale_photo(upscaler, photo)
    if large.shape != (30 * upscaler.scale, 40 * upscaler.scale, 3):
        raise WrongSuccessError(f"an image of {large.shape}")


def _enter_tflite(path: pathlib.Path, samples: pathlib.Path) -> None:

    description = describe(path)
    if not all(len(row) == 6 for row in description.rows):
        raise WrongSuccessError("rows of another length")
    for name in ("ethos-n78-4tops", "ethos-u85-512"):
        list_refusals(path, find_target(name))
    report = estimate(layers_from_tflite(path), find_target("roofline"))
    report.to_text()
    if not 0 <= report.seconds < float("inf"):
        raise WrongSuccessError(f"{report.seconds} s")


def _enter_run_of_tflite(path: pathlib.Path, samples: pathlib.Path) -> None:

    _upscale(from_tflite(path))


def _enter_golden(path: pathlib.Path, samples: pathlib.Path) -> None:

    replay_golden(samples / "int8.tflite", path)


def _enter_golden_of_onnx(path: pathlib.Path, samples: pathlib.Path) -> None:

    replay_golden(samples / "int8.onnx", path)


def _enter_onnx(path: pathlib.Path, samples: pathlib.Path) -> None:

    describe_onnx(path)
    _upscale(from_onnx(path))


def _enter_safetensors(path: pathlib.Path, samples: pathlib.Path) -> None:

    found = network.load(path)
    found.collapse().trace((1, 8, 8, found.channels))
    _ = found.title, found.ranges


def _enter_arrays(path: pathlib.Path, samples: pathlib.Path) -> None:

    read_arrays(path)
    import_weights("ecbsr", path, model="ecbsr_m4c8", scale=2)


def _enter_target(path: pathlib.Path, samples: pathlib.Path) -> None:

    report = estimate(layers_from_tflite(samples / "int8.tflite"), find_target(path))
    report.to_text()
    if not 0 <= report.seconds < float("inf"):
        raise WrongSuccessError(f"{report.seconds} s")


def _enter_config(path: pathlib.Path, samples: pathlib.Path) -> None:
    """Reads a config file whose values are those of the case, as `sesr train` does before it trains."""
    values = path.read_bytes()
    file = path.with_suffix(".py")
    text = "import json, ml_collections\ndef get_config():\n"
    file.write_text(
        f"{text}    return ml_collections.ConfigDict(json.loads({values!r}))\n", encoding="utf-8"
    )
    config = read_config(str(file))
    validate(config)
    create(config.model.name, scale=config.model.scale, **config.model.options)
    plan(config)


def _enter_run(path: pathlib.Path, samples: pathlib.Path) -> None:

    run = path
    while not (run / "config.json").exists():
        run = run.parent
    checkpoint.read_config(run)
    checkpoint.get_hardware(run)
    for past in read_history(run).runs:
        _ = past.hours, past.curve
    load_network(run)


def _enter_image(path: pathlib.Path, samples: pathlib.Path) -> None:

    target = path.with_name("large.png")
    upscale_file(bicubic_upscaler(2), path, target)
    if not target.exists():
        raise WrongSuccessError("no file was written")


def _enter_video(path: pathlib.Path, samples: pathlib.Path) -> None:

    upscale_file(bicubic_upscaler(2), path, path.with_name("large.mp4"))


def _mutate_config(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(mutations.mutate_value(json.loads(data), rng)).encode()


_FOLDER = "run"

DOORS = {
    "tflite": Door(
        samples=("int8.tflite", "float.tflite"), mutate=mutations.mutate_tflite, enter=_enter_tflite
    ),
    "tflite, run": Door(
        samples=("int8.tflite", "float.tflite"),
        mutate=mutations.mutate_tflite,
        enter=_enter_run_of_tflite,
    ),
    "golden pair": Door(
        samples=("int8.golden.npz",), mutate=mutations.mutate_zip, enter=_enter_golden
    ),
    "golden pair of onnx": Door(
        samples=("int8.onnx.golden.npz",), mutate=mutations.mutate_zip, enter=_enter_golden_of_onnx
    ),
    "onnx": Door(
        samples=("int8.onnx", "float.onnx", "unsigned.onnx"),
        mutate=mutations.mutate_onnx,
        enter=_enter_onnx,
    ),
    "safetensors": Door(
        samples=("expanded.safetensors", "collapsed.safetensors", "quantised.safetensors"),
        mutate=mutations.mutate_safetensors,
        enter=_enter_safetensors,
    ),
    "npz": Door(
        samples=("arrays.npz", "pickled.npz"), mutate=mutations.mutate_zip, enter=_enter_arrays
    ),
    "torch": Door(samples=("state.pt",), mutate=mutations.mutate_zip, enter=_enter_arrays),
    "target": Door(
        samples=("roofline.toml", "ethos-n78-4tops.toml"),
        mutate=mutations.mutate_text,
        enter=_enter_target,
    ),
    "config": Door(samples=("config.json",), mutate=_mutate_config, enter=_enter_config),
    "run": Door(
        samples=("run/config.json",),
        mutate=mutations.mutate_json,
        enter=_enter_run,
        beside=("run",),
    ),
    "log": Door(
        samples=("run/log.jsonl",), mutate=mutations.mutate_json, enter=_enter_run, beside=("run",)
    ),
    "checkpoint": Door(
        samples=("run/checkpoints/*",),
        mutate=mutations.mutate_bytes,
        enter=_enter_run,
        beside=("run",),
    ),
    "image": Door(
        samples=tuple(f"photo.{suffix}" for suffix in ("png", "jpg", "webp", "bmp", "tif")),
        mutate=mutations.mutate_bytes,
        enter=_enter_image,
    ),
    "video": Door(samples=("clip.mp4",), mutate=mutations.mutate_bytes, enter=_enter_video),
}
"""By the names that the command takes."""


def make_case(
    door: Door, seed: str, samples: pathlib.Path, folder: pathlib.Path
) -> tuple[pathlib.Path, bytes]:
    """Writes the case of that seed into `folder`, and returns its changed file and what is in it."""
    rng = random.Random(seed)
    sample = rng.choice(door.samples)
    if sample.endswith("*"):
        found = sorted(p for p in (samples / sample).parent.rglob("*") if p.is_file())
        sample = str(rng.choice(found).relative_to(samples))
    sound = (samples / sample).read_bytes()
    try:
        data = door.mutate(sound, rng)
    except Exception:  # such as of a second change where the first one took everything away
        data = mutations.mutate_bytes(sound, rng)
    for name in door.beside:
        shutil.copytree(samples / name, folder / name)
    path = folder / sample
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path, data


def enter(door: Door, path: pathlib.Path, samples: pathlib.Path) -> tuple[str, str]:
    """Does what commands do to a case, and returns its outcome with one line about it."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            door.enter(path, samples)
    except InputError as error:
        return "refusal", str(error)
    except WrongSuccessError as error:
        return "wrong success", str(error)
    except Exception as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in last if "/sesr_jax/" in frame.filename] or last
        place = f"{pathlib.Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return "traceback", f"{type(error).__name__} at {place}: {str(error)[:150]}"
    return "success", ""
