"""Descriptions of files, ours and others'."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from export_samples import Export

from sesr_jax.errors import InputError
from sesr_jax.export import export_onnx, export_tflite
from sesr_jax.export.describe import COLUMNS, describe
from sesr_jax.export.describe_onnx import describe_onnx
from sesr_jax.export.flatbuffer import pack, read
from sesr_jax.quant import affine

Exported = Callable[[str, int], Export]


def test_our_files_tell_what_they_are(exported: Exported, tmp_path: pathlib.Path) -> None:
    export, path = exported("sesr_m3", 2), tmp_path / "sesr.tflite"
    told = {"model": "sesr_m3", "collapse": {"difference": 1e-7, "shape": [1, 8, 8, 1]}}
    export_tflite(export.graph, path, ranges=export.ranges, metadata=told)
    description = describe(path)
    facts = description.facts
    assert facts["model"] == "sesr_m3"
    assert facts["collapse"] == "difference 1e-07, shape [1, 8, 8, 1]"
    assert facts["ranges"].startswith(f"of {len(export.ranges)} groups")
    assert facts["output"] == "int8[1×120×160×1] scale 0.00392157 zero point -128"
    assert f"{path.stat().st_size:,} bytes" in facts["size"]
    assert len(description.rows) == len(export.graph.nodes)
    assert {len(row) for row in description.rows} == {len(COLUMNS)}
    prelu = next(row for row in description.rows if "prelu" in row[0])
    scale, zero_point = affine(*export.ranges["prelu_0/prelu"])
    assert prelu[-2:] == (f"{scale:.6g}", str(zero_point))
    conv = next(row for row in description.rows if row[0] == "2_conv_2d")
    assert conv[2] == "int8[16×3×3×16] (16 scales), int32[16] (16 scales)"


def test_onnx_files_tell_what_they_are(exported: Exported, tmp_path: pathlib.Path) -> None:
    export, path = exported("sesr_m3", 2), tmp_path / "sesr.onnx"
    export_onnx(export.graph, path, ranges=export.ranges, io="uint8", metadata={"model": "sesr_m3"})
    description = describe_onnx(path)
    facts = description.facts
    assert (facts["model"], facts["ranges"][:5]) == ("sesr_m3", f"of {len(export.ranges)}"[:5])
    assert (facts["input"], facts["output"]) == ("uint8[N×1×H×W]", "uint8[N×1×H_out×W_out]")
    assert f"{path.stat().st_size:,} bytes" in facts["size"]
    assert {len(row) for row in description.rows} == {len(COLUMNS)}
    assert description.rows[0] == (
        "0_dequantizelinear", "input", "float32[], uint8[]", "input/pixels", "0.00392157", "0"
    )  # fmt: skip
    scale, zero_point = affine(*export.ranges["prelu_0/prelu"])
    point = next(row for row in description.rows if row[3] == "prelu_0/prelu/codes")
    assert point[-2:] == (f"{scale:.6g}", str(zero_point))
    kernel = next(row for row in description.rows if row[3] == "block_0/conv2d/kernel")
    assert kernel[2:] == ("int8[16×16×3×3], float32[16], int8[16]", kernel[3], "(16)", "(16)")
    export_onnx(export.graph, path, half=True)
    rows = describe_onnx(path).rows
    assert (
        next(row[2] for row in rows if row[0].endswith("_conv")) == "float16[16×1×5×5], float16[16]"
    )
    for damaged in (b"", b"no model at all", path.read_bytes()[:-99]):
        (tmp_path / "x.onnx").write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.onnx is no ONNX file"):
            describe_onnx(tmp_path / "x.onnx")
    with pytest.raises(InputError, match=r"none\.onnx"):
        describe_onnx(tmp_path / "none.onnx")


def test_files_from_elsewhere_are_described_too(tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 8), tf.float32)])
    def network(x: Any) -> Any:
        return tf.nn.softmax(tf.matmul(x, tf.ones((8, 3))))

    concrete = network.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    path = tmp_path / "other.tflite"
    path.write_bytes(converter.convert())
    description = describe(path)
    assert description.facts.keys() == {"input", "output", "size"}
    assert description.facts["input"] == "float32[?×8]"
    assert [row[0] for row in description.rows] == ["0_fully_connected", "1_softmax"]


def test_a_damaged_file_is_refused(exported: Exported) -> None:
    model = read(exported("sesr_m3", 2).int8)
    model.subgraphs[0].tensors[0].buffer = 9999
    with pytest.raises(InputError, match="damaged"):
        describe(pack(model))
