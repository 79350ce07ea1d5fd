"""The proof that ONNX Runtime computes each layer of an ONNX file as the network does."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import export_onnx
from sesr_jax.export.onnx import to_onnx
from sesr_jax.export.onnx_proof import prove_onnx
from sesr_jax.graph import Graph, trace
from sesr_jax.quant import Scheme, calibrate

RNG = np.random.default_rng(0)
KERNEL = jnp.asarray(RNG.normal(size=(3, 3, 4, 4)) / 6, jnp.float32)
BIAS = jnp.asarray([0.1, 0.3, -0.2, 0.5])


def network(x: Any) -> Any:
    y = ops.prelu(ops.conv2d(x, KERNEL, BIAS), BIAS)
    return ops.depth_to_space(ops.add(ops.conv2d(y, KERNEL[::-1]), y), block=2)


def make(function: Callable[[Any], Any] = network, side: int = 40) -> Graph:
    return trace(nn.Sequential([function]), {}, (1, side, side, 4))


GRAPH = make()
RANGES = calibrate(GRAPH, [RNG.uniform(size=GRAPH.input_shape).astype(np.float32)])
KINDS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float16": {"half": True},
    "weights": {"scheme": Scheme(activations="float")},
    "int8": {"ranges": RANGES},
    "int8 in part": {"ranges": RANGES, "scheme": Scheme(exclude=("conv2d_2",))},
    "int8 before floats": {"ranges": RANGES, "scheme": Scheme(exclude=("add",))},
    "uint8 pixels": {"ranges": RANGES, "io": "uint8"},
    "int8 pixels": {"ranges": RANGES, "io": "int8"},
}
"""The kinds of files: what they are written with."""


def prove(model: Any, kind: str, graph: Graph = GRAPH) -> Any:
    return prove_onnx(model, graph, **{k: v for k, v in KINDS[kind].items() if k != "io"})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_proved(kind: str) -> None:
    proof = prove(to_onnx(GRAPH, **KINDS[kind]), kind)
    assert proof.shape == (1, 24, 24, 4)
    coded = "int8" in kind
    assert proof.codes == (coded and kind != "int8 before floats")
    assert proof.layer <= (1 if coded else 2**-10)
    assert proof.output <= (2 if proof.codes else 2**-5 if coded else 2**-8)


def _change(model: Any, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    (found,) = (value for value in model.graph.initializer if value.name == name)
    changed = np.asarray(change(onnx.numpy_helper.to_array(found).copy()))
    found.CopyFrom(onnx.numpy_helper.from_array(changed, name))


def _spoil_tap(values: np.ndarray) -> np.ndarray:
    values.flat[7] = -values.flat[7] if values.dtype.kind == "f" else values.flat[7] ^ 0x40
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_one_wrong_weight_is_found_where_it_is(kind: str) -> None:
    model = to_onnx(GRAPH, **KINDS[kind])
    names = {value.name for value in model.graph.initializer}
    for layer in ("conv2d", "conv2d_2"):
        spoilt = onnx.ModelProto.FromString(model.SerializeToString())
        kernel = next(
            f"{layer}/kernel{end}" for end in ("/codes", "") if f"{layer}/kernel{end}" in names
        )
        _change(spoilt, kernel, _spoil_tap)
        # What has no codes is part of the layer that has some.
        where = "add" if (kind, layer) == ("int8 in part", "conv2d_2") else layer
        with pytest.raises(InputError, match=f"'{where}.*' is not computed by the file"):
            prove(spoilt, kind)


@pytest.mark.parametrize(
    ("kind", "constant", "message"),
    [
        ("uint8 pixels", "input/pixels/zero_point", "'input' is not computed"),
        ("uint8 pixels", "depth_to_space/pixels/zero_point", "'depth_to_space' is not what"),
        ("uint8 pixels", "add/zero_point", "'add' is not computed"),
        ("int8 pixels", "depth_to_space/zero_point", "'depth_to_space' is not computed"),
    ],
)
def test_wrong_codes_of_pixels_are_found(kind: str, constant: str, message: str) -> None:
    model = to_onnx(GRAPH, **KINDS[kind])
    _change(model, constant, lambda zero_point: zero_point + zero_point.dtype.type(2))
    with pytest.raises(InputError, match=message):
        prove(model, kind)


def test_a_wrong_cast_is_found() -> None:
    model = to_onnx(GRAPH, half=True)
    (cast,) = (node for node in model.graph.node if node.output[0] == GRAPH.output)
    cast.op_type = "Identity"
    del cast.attribute[:]
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    prove(model, "float16")  # the same values, in another type
    cast.op_type = "Neg"
    with pytest.raises(InputError, match="'depth_to_space' is not what the last layer computes"):
        prove(model, "float16")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.mul(ops.mul(x, 1e3), 1e3), "'mul_2' reaches 1e\\+06"),
        (lambda x: ops.mul(x, 1e5), "'mul/1' holds 100000"),
    ],
)
def test_what_float16_does_not_hold_is_refused(
    function: Callable[[Any], Any], message: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match=message):
        export_onnx(make(function), tmp_path / "x.onnx", half=True)
    assert not list(tmp_path.iterdir())


def test_bilinear_resizing_is_that_of_floats() -> None:
    """LiteRT computes its places in 10 bits, and is five codes off here."""
    graph = make(lambda x: ops.resize(x, scale=3, method="bilinear"))
    ranges = calibrate(graph, [np.ones(graph.input_shape)])
    assert prove_onnx(to_onnx(graph, ranges=ranges), graph, ranges=ranges).layer <= 1


def test_choices_that_do_not_go_together_are_refused() -> None:
    for choices in ({"ranges": RANGES}, {"scheme": Scheme(activations="float")}):
        with pytest.raises(InputError, match="float16"):
            to_onnx(GRAPH, half=True, **choices)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'input' has no codes"):
        to_onnx(GRAPH, io="uint8")
    with pytest.raises(InputError, match="'depth_to_space' has no codes"):
        to_onnx(GRAPH, ranges=RANGES, scheme=Scheme(exclude=("add",)), io="int8")
