"""The second converter against the first: same operators, same codes."""

import sys
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import CASES, RNG, Export, lone

from sesr_jax.errors import InputError
from sesr_jax.export import KERNELS, Options, TFLiteModel, check_integer, to_tflite
from sesr_jax.export.flatbuffer import list_operators, read
from sesr_jax.graph import run
from sesr_jax.quant import calibrate

LITERT = Options(converter="litert")
Exported = Callable[[str, int], Export]


@pytest.mark.parametrize("case", CASES)
def test_every_operation_is_what_the_first_converter_makes_of_it(case: str) -> None:
    graph = lone(case)
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    float32 = to_tflite(
        graph, ranges=None, options=Options(precision="float32", converter="litert")
    )
    np.testing.assert_allclose(TFLiteModel(float32)(x), run(graph, jnp.asarray(x)), atol=1e-5)

    ranges = calibrate(graph, [x])
    first, second = (to_tflite(graph, ranges=ranges, options=o) for o in (Options(), LITERT))
    check_integer(second)
    made, expected = ([op.name for op in list_operators(read(m))] for m in (second, first))
    # It requantises the image before a product, and not the product after it.
    assert sorted({*made} - {"QUANTIZE"}) == sorted({*expected} - {"QUANTIZE"})
    # The bound of a clip may lie half way between two codes, and each rounds that in its own way.
    step = TFLiteModel(second).output.scale  # type: ignore[union-attr]
    atol = 1.01 * step if case.startswith("clip") else 0
    np.testing.assert_allclose(TFLiteModel(second)(x), TFLiteModel(first)(x), rtol=0, atol=atol)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("name", "scale"), [("sesr_m3", 2), ("sesr_m3_hw", 3), ("fsrcnn", 2)])
def test_networks_have_the_same_codes_on_every_kernel_set(
    exported: Exported, photo: np.ndarray, name: str, scale: int, kernels: str
) -> None:
    export = exported(name, scale)
    model = TFLiteModel(
        to_tflite(export.graph, ranges=export.ranges, options=LITERT),
        kernels=kernels,  # type: ignore[arg-type]
    )
    np.testing.assert_array_equal(model(photo), TFLiteModel(export.int8, kernels=kernels)(photo))  # type: ignore[arg-type]


def test_pixels_may_be_unsigned(exported: Exported, photo: np.ndarray) -> None:
    export = exported("sesr_m3", 2)
    options = Options(converter="litert", io="uint8")
    model = TFLiteModel(to_tflite(export.graph, ranges=export.ranges, options=options))
    assert model.input is not None
    assert (model.input.dtype, model.input.zero_point) == (np.uint8, 0)
    np.testing.assert_array_equal(model(photo), TFLiteModel(export.int8)(photo))


def test_an_absent_package_is_named(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litert_converter.mlir", None)
    export = exported("sesr_m3", 2)
    with pytest.raises(InputError, match=r"litert_converter.* is needed and not installed"):
        to_tflite(export.graph, ranges=export.ranges, options=LITERT)
