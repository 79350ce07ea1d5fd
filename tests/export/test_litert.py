"""The runtime's wrapper."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import Export, simulate

from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, check_integer, read_metadata, to_tflite
from sesr_jax.export.flatbuffer import with_metadata
from sesr_jax.graph import Graph, run

Exported = Callable[[str, int], Export]


def at(graph: Graph, h: int, w: int) -> Graph:
    """The network of convolutions and sums at another size."""
    _, h0, w0, _ = graph.input_shape
    nodes = [
        dataclasses.replace(n, shape=(1, n.shape[1] * h // h0, n.shape[2] * w // w0, n.shape[3]))
        for n in graph.nodes
    ]
    return dataclasses.replace(graph, input_shape=(1, h, w, 1), nodes=tuple(nodes))


@pytest.mark.parametrize(("name", "scale"), [("sesr_m3", 4), ("sesr_m3_hw", 3), ("fsrcnn", 3)])
def test_another_size_gives_what_a_file_of_that_size_gives(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    model = TFLiteModel(export.int8)
    whole = model(photo)
    x = photo[:, :41, :37]
    other = TFLiteModel(to_tflite(at(export.graph, 41, 37), ranges=export.ranges))
    np.testing.assert_array_equal(model(x), other(x))
    np.testing.assert_array_equal(model(photo), whole)


def test_a_file_that_is_bound_to_its_size_says_so_and_still_runs(
    exported: Exported, photo: np.ndarray
) -> None:
    # The reference kernels hold a transposed convolution to the output size that it was given.
    model = TFLiteModel(exported("fsrcnn", 3).int8, kernels="reference")
    whole = model(photo)
    with pytest.raises(InputError, match=r"cannot run at 41×37.*exported 60×80"):
        model(photo[:, :41, :37])
    np.testing.assert_array_equal(model(photo), whole)


def test_the_reference_kernels_agree_up_to_rounding(exported: Exported, photo: np.ndarray) -> None:
    export = exported("sesr_m3_hw", 2)
    expected = simulate(export.graph, export.ranges, photo)
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    actual = TFLiteModel(export.int8, kernels="reference", num_threads=1)(photo)
    # They round twice where the others round once: less than the quantisation itself does.
    assert np.std(actual - expected) < np.std(expected - float32)


def test_times_are_those_of_the_runs_alone(exported: Exported, tmp_path: pathlib.Path) -> None:
    (tmp_path / "m.tflite").write_bytes(exported("sesr_m3", 2).int8)
    model = TFLiteModel(tmp_path / "m.tflite")
    start = time.perf_counter()
    assert model.input is not None
    seconds = model.time(np.zeros(model.input_shape, model.input.dtype), 5)
    assert len(seconds) == 5
    assert 0 < sum(seconds) < time.perf_counter() - start


def test_inputs_beyond_the_image_saturate(exported: Exported, photo: np.ndarray) -> None:
    model = TFLiteModel(exported("sesr_m3", 2).int8)
    np.testing.assert_array_equal(model(photo * 4 - 1), model(np.clip(photo * 4 - 1, 0, 1)))


@pytest.mark.parametrize("shape", [(60, 80, 1), (1, 60, 80, 3)])
def test_another_shape_is_refused(exported: Exported, shape: tuple[int, ...]) -> None:
    model = TFLiteModel(exported("sesr_m3", 2).int8)
    with pytest.raises(InputError, match="does not suit"):
        model(np.zeros(shape))


def test_nan_is_refused(exported: Exported, photo: np.ndarray) -> None:
    model = TFLiteModel(exported("sesr_m3", 2).int8)
    with pytest.raises(InputError, match="finite"):
        model(photo * np.nan)


@pytest.mark.parametrize("read", [TFLiteModel, check_integer, read_metadata])
@pytest.mark.parametrize("damage", ["absent", "text", "cut", "zeros"])
def test_a_file_that_is_no_model_is_refused(
    exported: Exported, tmp_path: pathlib.Path, read: Callable[[pathlib.Path], None], damage: str
) -> None:
    data = exported("sesr_m3", 2).int8
    path = tmp_path / "model.tflite"
    if damage != "absent":
        contents = {"text": b"no model", "cut": data[:3000], "zeros": data[:8] + bytes(3000)}
        path.write_bytes(contents[damage])
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"{", "the metadata of .* is no JSON"),
        (b"[]", r"is \[\]"),
        (b'{"host_blocks": ["x"]}', r"host_blocks is 'x'"),
        (b'{"host_blocks": [5]}', "make no blocks of"),
    ],
)
def test_damaged_metadata_are_refused(exported: Exported, told: bytes, message: str) -> None:
    whole = with_metadata(exported("sesr_m3", 2).int8, {"key": "x" * 40})
    place = whole.index(b'{"key"')
    data = whole[:place] + told.ljust(len('{"key": "') + 40 + 2) + whole[place + 51 :]
    with pytest.raises(InputError, match=message):
        TFLiteModel(data)
