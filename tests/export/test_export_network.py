"""Networks as files, in one call."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from sesr_jax.data import open_embedded
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.export import Options, TFLiteModel, export_network, read_metadata, trace_collapsed
from sesr_jax.graph import measure_extent
from sesr_jax.models import network
from sesr_jax.models.network import Network
from sesr_jax.quant import RANGES, calibrate, find_points


@pytest.fixture(scope="module")
def made() -> Network:
    return network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4, blocks=1)


def test_the_file_says_what_it_is_and_proves_the_collapse(
    made: Network, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "m3.tflite"
    written = export_network(
        made, path, size=(24, 32), tile=(24, 24), calibration=open_embedded("train")[:2]
    )
    assert written == [path, tmp_path / "m3_24x24.tflite"]
    assert {p.suffix for p in tmp_path.iterdir()} == {".tflite", ".npz"}
    told = read_metadata(path)
    assert (told["model"], told["scale"], told["colour"]) == ("sesr_m3_hw", 2, "Y")
    assert 0 < told["collapse"]["difference"] < 1e-5
    assert told["collapse"]["dtype"] == "float32"
    assert read_metadata(written[1]) == told  # the same ranges among it
    assert TFLiteModel(path).input_shape == (1, 24, 32, 1)
    assert TFLiteModel(written[1]).input_shape == (1, 24, 24, 1)


def test_a_network_that_runs_expanded_is_deployed_collapsed(
    made: Network, tmp_path: pathlib.Path
) -> None:
    written = dataclasses.replace(made, options={**made.options, "mode": "expanded"})
    options = Options(precision="float32")
    files = []
    for name, each in (("a", made), ("b", written)):
        files += export_network(each, tmp_path / f"{name}.tflite", size=(8, 8), options=options)
    first, second = (file.read_bytes() for file in files)
    assert first == second


def test_trained_ranges_are_the_file_s(made: Network, tmp_path: pathlib.Path) -> None:
    graph = trace_collapsed(made, (8, 8))
    ranges = calibrate(graph, [np.ones((1, 8, 8, 1))])
    trained = {key: ends for key, ends in ranges.items() if key not in find_points(graph).fixed}
    trained = {key: (low - 0.25, high + 0.5) for key, (low, high) in trained.items()}
    variables = {**made.variables, RANGES: {k: np.float32(v) for k, v in trained.items()}}
    quantised = dataclasses.replace(made, variables=variables)
    export_network(quantised, tmp_path / "m3.tflite", size=(8, 8))
    found = read_metadata(tmp_path / "m3.tflite")["ranges"]
    assert found.keys() == ranges.keys()
    for key, ends in trained.items():
        np.testing.assert_allclose(found[key], ends, rtol=1e-6)
    assert found["input"] == [0, 1]


def _grey(*shape: int) -> ImagePair:
    return ImagePair(name="grey", hr=np.full(shape, 99, np.uint8))


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        (None, "trained without ranges"),
        ([], "no calibration image"),
        ([_grey(1, 9)], "9"),
        ([_grey(8, 8, 4)], "4"),
    ],
)
def test_what_no_range_can_come_from_is_refused_and_nothing_written(
    made: Network, tmp_path: pathlib.Path, calibration: list[ImagePair] | None, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        export_network(made, tmp_path / "m3.tflite", size=(8, 8), calibration=calibration)
    assert not list(tmp_path.iterdir())


def test_a_tile_that_is_refused_leaves_no_whole_file(made: Network, tmp_path: pathlib.Path) -> None:
    def refuse_tiles(path: pathlib.Path) -> None:
        if TFLiteModel(path).input_shape == (1, 24, 24, 1):
            raise InputError("no tiles")

    options = Options(precision="float32")
    sizes = {"size": (24, 32), "tile": (24, 24)}
    with pytest.raises(InputError, match="no tiles"):
        export_network(made, tmp_path / "m.tflite", **sizes, options=options, accept=refuse_tiles)  # type: ignore[arg-type]
    (tmp_path / "m_24x24.golden.npz").mkdir()  # in the way of the last file that is written
    with pytest.raises(InputError, match="it is a folder"):
        export_network(made, tmp_path / "m.tflite", **sizes, options=options)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["m_24x24.golden.npz"]


def test_a_tile_that_keeps_nothing_is_refused(made: Network, tmp_path: pathlib.Path) -> None:
    least = 2 * measure_extent(trace_collapsed(made, (24, 32))).halo + 1
    options = Options(precision="float32")
    with pytest.raises(InputError, match=f"sides of at least {least}"):
        export_network(
            made, tmp_path / "m.tflite", size=(24, 32), tile=(least - 1, 24), options=options
        )
    assert not list(tmp_path.iterdir())


def test_a_picture_that_gives_no_range_is_named(made: Network, tmp_path: pathlib.Path) -> None:
    dot = ImagePair(name="dot", hr=np.zeros((1, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"dot: an image of shape \(1, 9, 3\)"):
        export_network(made, tmp_path / "m.tflite", size=(24, 32), calibration=[dot])
