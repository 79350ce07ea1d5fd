"""What check_integer refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from export_samples import Export

from sesr_jax.errors import InputError
from sesr_jax.export import check_integer
from sesr_jax.export.checks import ALLOWED_OPS
from sesr_jax.export.flatbuffer import list_operators, pack, read


@pytest.fixture(scope="module")
def export(exported: Callable[[str, int], Export]) -> Export:
    return exported("sesr_m3", 2)


def test_a_float_file(export: Export) -> None:
    with pytest.raises(InputError, match=r"input .* is FLOAT32"):
        check_integer(export.float32)


def test_an_operator_that_the_target_lacks(export: Export) -> None:
    with pytest.raises(InputError, match=r"operator DEPTH_TO_SPACE .* not one of"):
        check_integer(export.int8, ALLOWED_OPS - {"DEPTH_TO_SPACE"})


def test_a_float_island() -> None:
    """Without a range for the sum, the converter leaves it between DEQUANTIZE and QUANTIZE."""
    import tensorflow as tf

    def network(x: Any) -> Any:
        seam = tf.quantization.fake_quant_with_min_max_vars
        y = tf.nn.relu(tf.math.exp(seam(x, 0.0, 1.0)))
        return seam(y, 0.0, 3.0)

    signature = [tf.TensorSpec((1, 8, 8, 1), tf.float32)]
    function = tf.function(network, input_signature=signature, autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    model = converter.convert()
    with pytest.raises(InputError, match=r"operator (DEQUANTIZE|EXP)"):
        check_integer(model)
    with pytest.raises(InputError, match=r"tensor .* is FLOAT32"):
        check_integer(model, ALLOWED_OPS | {"DEQUANTIZE", "EXP"})


@pytest.mark.parametrize("damage", ["one scale", "asymmetric"])
def test_weights_that_are_not_symmetric_per_channel(export: Export, damage: str) -> None:
    model = read(export.int8)
    weights = next(op.inputs[1] for op in list_operators(model) if op.name == "CONV_2D")
    found = weights.quantization
    if damage == "one scale":
        found.scale, found.zeroPoint = found.scale[:1], found.zeroPoint[:1]
    else:
        found.zeroPoint = found.zeroPoint + 3
    with pytest.raises(InputError, match=r"weights .* of a CONV_2D"):
        check_integer(pack(model))
