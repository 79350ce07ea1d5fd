"""The fuzzer in small: seeded cases for each door, each of which is refused in one sentence or taken."""

import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import fuzz_mutations
from benchmarks.fuzz_doors import DOORS, WrongSuccessError, enter, make_case, write_npz
from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import import_schema, pack
from sesr_jax.train import base

_ROOT = pathlib.Path(__file__).parents[1]


def _make_tflite():
    """A 3×3 convolution."""
    schema = import_schema()
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers = [schema.BufferT() for _ in range(2)]
    model.buffers[1].data = np.zeros(9 * 4, np.uint8)
    graph.tensors = [schema.TensorT() for _ in range(3)]
    for tensor, shape, buffer in zip(
        graph.tensors, ([1, 4, 6, 1], [1, 3, 3, 1], [1, 4, 6, 1]), (0, 1, 0), strict=True
    ):
        tensor.shape, tensor.buffer, tensor.name = np.array(shape, np.int32), buffer, b"t"
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([2], np.int32)
    code, conv = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    conv.inputs, conv.outputs = np.array([0, 1, -1], np.int32), np.array([2], np.int32)
    conv.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    conv.builtinOptions = schema.Conv2DOptionsT()
    conv.builtinOptions.strideW = conv.builtinOptions.strideH = 1
    model.operatorCodes, graph.operators = [code], [conv]
    return pack(model)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Those samples that take no converter and no training to make."""
    folder = tmp_path_factory.mktemp("samples")
    for name, suffix in (("expanded", "_expanded"), ("collapsed", ""), ("quantised", "_qat")):
        weights = _ROOT / "sesr_jax" / "pretrained" / f"sesr_m3_x2{suffix}.safetensors"
        (folder / f"{name}.safetensors").write_bytes(weights.read_bytes())
    for name in ("int8", "float"):
        (folder / f"{name}.tflite").write_bytes(_make_tflite())
    write_npz(folder)
    (folder / "config.json").write_text(base().to_json(), encoding="utf-8")
    for name in ("roofline", "ethos-n78-4tops"):
        content = (_ROOT / "sesr_jax" / "targets" / f"{name}.toml").read_bytes()
        (folder / f"{name}.toml").write_bytes(content)
    (folder / "done").touch()
    return folder


@pytest.mark.parametrize(
    ("door", "cases"),
    [("tflite", 40), ("safetensors", 12), ("npz", 40), ("target", 20), ("config", 20)],
)
def test_every_case_is_refused_or_taken(samples, tmp_path, door, cases):
    outcomes = {}
    for number in range(cases):
        path, _ = make_case(DOORS[door], f"{door} 1.{number}", samples, tmp_path / str(number))
        outcomes[number] = enter(DOORS[door], path, samples)
    assert not {n: o for n, o in outcomes.items() if o[0] not in ("refusal", "success")}
    assert any(outcome == "refusal" for outcome, _ in outcomes.values())
    assert not [text for _, text in outcomes.values() if "\n" in text or len(text) > 1300]


def test_a_case_depends_on_its_seed_alone(samples, tmp_path):
    first, second, third = (
        make_case(DOORS["tflite"], seed, samples, tmp_path / str(number))[1]
        for number, seed in enumerate(("tflite 1.0", "tflite 1.1", "tflite 1.0"))
    )
    assert first == third != second


@pytest.mark.parametrize("name", ["mutate_json", "mutate_text", "mutate_bytes", "mutate_zip"])
def test_mutations_change_what_they_are_given(samples, name):
    file = {"mutate_zip": "arrays.npz", "mutate_text": "roofline.toml"}.get(name, "config.json")
    data, mutate = (samples / file).read_bytes(), getattr(fuzz_mutations, name)
    changed = [mutate(data, random.Random(seed)) for seed in range(20)]
    assert sum(one != data for one in changed) > 15


def test_outcomes_are_told_apart(samples):
    def make_door(kind):
        def act(path, samples):
            if kind is not None:
                raise kind("why")

        return dataclasses.replace(DOORS["npz"], enter=act)

    for kind, outcome in (
        (None, "success"),
        (InputError, "refusal"),
        (KeyError, "traceback"),
        (WrongSuccessError, "wrong success"),
    ):
        assert enter(make_door(kind), samples / "arrays.npz", samples)[0] == outcome


_BROKEN = """
import os, pathlib, time
import numpy as np
import sesr_jax.importers.arrays

def read(path, **options):
    counter = pathlib.Path(os.environ["COUNTER"])
    number = len(counter.read_text()) if counter.exists() else 0
    counter.write_text("x" * (number + 1))
    if number == 1: os.abort()
    if number == 2: time.sleep(60)
    if number == 3: raise KeyError("x")
    return {}

sesr_jax.importers.arrays.read_npz = read
"""


def test_what_crashes_hangs_and_fails_is_counted_and_kept(samples, tmp_path):
    """The command runs on a reader of .npz files which does all of it."""
    (tmp_path / "sitecustomize.py").write_text(_BROKEN, encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.fuzz", "--door", "npz", "--samples", str(samples)]
    found, counts = tmp_path / "found", tmp_path / "counts.json"
    ran = subprocess.run(
        [*command, "--cases", "4", "--timeout", "1", "--keep", str(found), "--json", str(counts)],
        cwd=_ROOT,
        env={
            **os.environ,
            "COUNTER": str(tmp_path / "counter"),
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{_ROOT}",
        },
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1, ran.stderr
    counted = json.loads(counts.read_text("utf-8"))["counts"]["npz"]
    assert (counted["crash"], counted["hang"], counted["traceback"]) == (1, 1, 1)
    assert len(list(found.glob("*.npz"))) == 3
    assert "KeyError" in ran.stdout
