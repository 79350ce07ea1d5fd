"""Files whose kernels have 8 bits and whose arithmetic is float."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import Export

from sesr_jax.export import KERNELS, Options, TFLiteModel, to_tflite
from sesr_jax.export.flatbuffer import list_operators, read, read_enum
from sesr_jax.export.options import Converter
from sesr_jax.export.tflite import CONVERTERS
from sesr_jax.graph import run
from sesr_jax.quant.fake import with_quantised_weights

Exported = Callable[[str, int], Export]


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("name", ["sesr_m3", "fsrcnn"])
def test_kernels_are_codes_that_compute_what_the_scheme_says(
    exported: Exported, photo: np.ndarray, name: str, converter: Converter
) -> None:
    export = exported(name, 2)
    options = Options(precision="weights", converter=converter)
    model = to_tflite(export.graph, ranges=None, options=options)
    assert len(model) < 0.7 * len(export.float32)
    expected = run(with_quantised_weights(export.graph, options.scheme), jnp.asarray(photo))
    for kernels in KERNELS:
        np.testing.assert_allclose(TFLiteModel(model, kernels=kernels)(photo), expected, atol=1e-5)
    convolutions = [op for op in list_operators(read(model)) if "CONV" in op.name]
    unpacked = [op for op in list_operators(read(model)) if op.name == "DEQUANTIZE"]
    assert len(unpacked) == len(convolutions)
    assert {read_enum("TensorType")[op.inputs[0].type] for op in unpacked} == {"INT8"}
    # A scale for each output channel.
    assert len(unpacked[1].inputs[0].quantization.scale) > 1
