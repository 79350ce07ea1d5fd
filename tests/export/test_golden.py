"""Golden pairs: what they hold, and what a replay notices."""

import json
import pathlib
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from export_samples import Export

from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.export import (
    KERNELS,
    Options,
    TFLiteModel,
    export_onnx,
    golden_path,
    replay_golden,
    to_tflite,
    write_golden,
)
from sesr_jax.export.onnx_runtime import ONNX_KERNELS, OnnxModel

Exported = Callable[[str, int], Export]


@pytest.fixture
def pair(exported: Exported, tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A file and its golden pair."""
    path = tmp_path / "sesr.tflite"
    path.write_bytes(exported("sesr_m3", 2).int8)
    write_golden(path, golden_path(path))
    return path, tmp_path / "sesr.golden.npz"


@pytest.fixture
def onnx_pair(exported: Exported, tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """An ONNX file with pixels of uint8, and its golden pair."""
    path, export = tmp_path / "sesr.onnx", exported("sesr_m3", 2)
    export_onnx(export.graph, path, ranges=export.ranges, io="uint8")
    return path, tmp_path / "sesr.onnx.golden.npz"


def _rewrite(golden: pathlib.Path, **changed: np.ndarray) -> None:
    with np.load(golden) as file:
        arrays = {**file, **changed}
    np.savez(golden, **arrays)


def _change_a_code(golden: pathlib.Path) -> int:
    """Changes one code of the output by up to 3, and returns how many codes there are."""
    with np.load(golden) as file:
        output = file["output"].copy()
    output.flat[7] ^= 3
    _rewrite(golden, output=output)
    return output.size


def test_the_pair_is_raw_codes_and_names_its_kernels(
    pair: tuple[pathlib.Path, pathlib.Path],
) -> None:
    path, golden = pair
    with np.load(golden) as file:
        given, output, about = file["input"], file["output"], json.loads(str(file["about"]))
    assert (given.dtype, given.shape) == (np.int8, (1, 60, 80, 1))
    assert len(np.unique(given)) > 100
    assert about["kernels"] in KERNELS
    assert about["runtime"].startswith("LiteRT 2")
    model = TFLiteModel(path, kernels=about["kernels"])
    np.testing.assert_array_equal(model.run(given), output)


def test_a_replay_is_exact_on_its_kernels_and_told_for_all(
    pair: tuple[pathlib.Path, pathlib.Path],
) -> None:
    results = {replay.kernels: replay for replay in replay_golden(pair[0])}
    assert results.keys() == KERNELS.keys()
    (golden,) = (replay for replay in results.values() if replay.golden)
    assert golden.holds
    assert golden.difference == golden.share == 0
    # Kernels of PReLU are the same in all; those of convolutions round otherwise.
    assert results["reference"].difference
    assert 0 < results["reference"].share < 0.5


def test_one_other_code_is_noticed(pair: tuple[pathlib.Path, pathlib.Path]) -> None:
    path, golden = pair
    count = _change_a_code(golden)
    (replay,) = (replay for replay in replay_golden(path) if replay.golden)
    assert not replay.holds
    assert replay.difference is not None
    assert 1 <= replay.difference <= 3
    assert replay.share == 1 / count


def test_float_files_have_values(exported: Exported, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "sesr.tflite"
    path.write_bytes(exported("sesr_m3", 2).float32)
    write_golden(path, golden_path(path))
    assert all(replay.holds for replay in replay_golden(path))


def test_a_kernel_set_that_cannot_run_the_file_says_why(
    pair: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    init = TFLiteModel.__init__

    def refusing(self: TFLiteModel, source: pathlib.Path, *, kernels: str = "XNNPACK") -> None:
        if kernels == "reference":
            raise UnsupportedError("no such kernel")
        init(self, source, kernels=kernels)  # type: ignore[arg-type]

    monkeypatch.setattr(TFLiteModel, "__init__", refusing)
    (replay,) = (replay for replay in replay_golden(pair[0]) if replay.difference is None)
    assert (replay.kernels, replay.failure, replay.holds) == ("reference", "no such kernel", False)


@pytest.mark.parametrize(
    "damage", ["absent", "cut", "text", "no output", "pickled", "bits", "one array", "about"]
)
def test_a_damaged_pair_is_refused(pair: tuple[pathlib.Path, pathlib.Path], damage: str) -> None:
    path, golden = pair
    if damage == "absent":
        golden.unlink()
    elif damage == "cut":
        golden.write_bytes(golden.read_bytes()[:-200])
    elif damage == "text":
        golden.write_text("not a pair")
    elif damage == "pickled":
        _rewrite(golden, output=np.array([{}], dtype=object))
    elif damage == "bits":
        content = bytearray(golden.read_bytes())
        content[60:90] = bytes(30)
        golden.write_bytes(content)
    elif damage == "one array":
        with golden.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "about":
        _rewrite(golden, about=np.array('["XNNPACK"]'))
    else:
        np.savez(golden, input=np.zeros(3))
    with pytest.raises(InputError, match=r"sesr\.golden"):
        replay_golden(path)


def test_the_pair_of_another_file_is_refused(
    exported: Exported, pair: tuple[pathlib.Path, pathlib.Path]
) -> None:
    path, golden = pair
    export = exported("sesr_m3", 2)
    path.write_bytes(to_tflite(export.graph, ranges=export.ranges, options=Options(io="uint8")))
    with pytest.raises(InputError, match=r"int8.* takes uint8.*do not belong together"):
        replay_golden(path)
    path.write_bytes(exported("sesr_m3", 3).int8)
    with pytest.raises(InputError, match=r"golden output .*do not belong together"):
        replay_golden(path, golden)


def test_the_pair_of_an_onnx_file_is_in_its_layout(
    onnx_pair: tuple[pathlib.Path, pathlib.Path],
) -> None:
    path, golden = onnx_pair
    assert golden == golden_path(path)
    with np.load(golden) as file:
        given, output, about = file["input"], file["output"], json.loads(str(file["about"]))
    assert (given.dtype, given.shape) == (np.uint8, (1, 1, 60, 80))
    assert (output.dtype, output.shape) == (np.uint8, (1, 1, 120, 160))
    assert len(np.unique(given)) > 100
    assert about["kernels"] in ONNX_KERNELS
    assert about["runtime"].startswith("ONNX Runtime 1")
    np.testing.assert_array_equal(OnnxModel(path, kernels=about["kernels"]).run(given), output)


def test_a_replay_of_an_onnx_file_is_exact_and_told_for_both_ways(
    onnx_pair: tuple[pathlib.Path, pathlib.Path],
) -> None:
    path, golden = onnx_pair
    results = {replay.kernels: replay for replay in replay_golden(path)}
    assert results.keys() == ONNX_KERNELS.keys()
    assert results["fused"].golden
    assert results["fused"].holds
    assert results["fused"].difference == results["fused"].share == 0
    assert results["as written"].share < 0.5
    count = _change_a_code(golden)
    (replay,) = (replay for replay in replay_golden(path) if replay.golden)
    assert not replay.holds
    assert replay.share == 1 / count


def test_floats_of_onnx_files_are_compared_as_exactly_as_their_type_allows(
    exported: Exported, tmp_path: pathlib.Path
) -> None:
    path, graph = tmp_path / "sesr.onnx", exported("sesr_m3", 2).graph
    for half, off in ((False, 1e-4), (True, 1e-2)):
        export_onnx(graph, path, half=half)
        assert all(replay.holds for replay in replay_golden(path))
        with np.load(golden_path(path)) as file:
            output = file["output"]
        _rewrite(golden_path(path), output=output + np.float32(off))
        assert not any(replay.holds for replay in replay_golden(path))
        _rewrite(golden_path(path), output=output + np.float32(off / 20))
        assert all(replay.holds for replay in replay_golden(path))


def test_an_onnx_file_and_a_pair_that_do_not_belong_together_are_refused(
    exported: Exported,
    pair: tuple[pathlib.Path, pathlib.Path],
    onnx_pair: tuple[pathlib.Path, pathlib.Path],
) -> None:
    (path, golden), export = onnx_pair, exported("sesr_m3", 2)
    with pytest.raises(InputError, match=r"XNNPACK .*sesr\.onnx.*do not belong together"):
        replay_golden(path, pair[1])
    with pytest.raises(InputError, match=r"fused .*sesr\.tflite.*do not belong together"):
        replay_golden(pair[0], golden)
    content = golden.read_bytes()
    export_onnx(export.graph, path, ranges=export.ranges)
    with pytest.raises(InputError, match=r"uint8.* takes float32\[any, 1, any, any\]"):
        replay_golden(path, _write(golden, content))
    export = exported("sesr_m3", 3)
    export_onnx(export.graph, path, ranges=export.ranges, io="uint8")
    with pytest.raises(InputError, match=r"golden output .*do not belong together"):
        replay_golden(path, _write(golden, content))
    model = onnx.load(path)
    model.graph.output.append(model.graph.input[0])
    onnx.save(model, path)
    with pytest.raises(InputError, match="must map one tensor"):
        replay_golden(path)


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path
