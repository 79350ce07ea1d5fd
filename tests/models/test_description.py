"""What a bare weight file tells: a reader of NumPy alone rebuilds the network from it."""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from safetensors import safe_open

from sesr_jax import ops, quant
from sesr_jax.models import create, network
from sesr_jax.models.description import describe
from sesr_jax.reparam import FORMS, Conv, LinearConv, collapse
from sesr_jax.reparam.packing import TERMS, pack


def conv2d(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, **attrs: Any) -> np.ndarray:
    assert attrs == {"strides": [1, 1], "padding": "SAME", "groups": 1, "dilation": [1, 1]}
    kh, kw, _, _ = kernel.shape
    _, h, w, _ = x.shape
    surplus = [((n - 1) // 2, n // 2) for n in (kh, kw)]
    x = np.pad(x, ((0, 0), *surplus, (0, 0)))
    return bias + sum(
        x[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(kh) for j in range(kw)
    )


def conv2d_transpose(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, strides: list[int], padding: str
) -> Any:
    assert padding == "SAME"
    n, h, w, c = x.shape
    down, right = strides
    spread = np.zeros((n, h * down, w * right, c))
    spread[:, ::down, ::right] = x
    kh, kw = kernel.shape[:2]
    before = [k - 1 - max(k - s, 0) // 2 for k, s in zip((kh, kw), strides, strict=True)]
    spread = np.pad(
        spread, ((0, 0), *((b, k) for b, k in zip(before, (kh, kw), strict=True)), (0, 0))
    )
    taps = ((i, j) for i in range(kh) for j in range(kw))
    size = h * down, w * right
    return bias + sum(spread[:, i : i + size[0], j : j + size[1]] @ kernel[i, j] for i, j in taps)


def depth_to_space(x: np.ndarray, block: int, form: str) -> np.ndarray:
    n, h, w, c = x.shape
    y = np.zeros((n, h * block, w * block, c // block**2))
    for row in range(block):
        for column in range(block):
            first = (row * block + column) * y.shape[-1]
            y[:, row::block, column::block] = x[..., first : first + y.shape[-1]]
    return y


READER = {
    "add": np.add,
    "concat": lambda *xs: np.concatenate(xs, axis=-1),
    "conv2d": conv2d,
    "conv2d_transpose": conv2d_transpose,
    "depth_to_space": depth_to_space,
    "prelu": lambda x, slope: np.where(x > 0, x, slope * x),
    "relu": lambda x: np.maximum(x, 0),
}


def rebuilt(path: pathlib.Path, x: np.ndarray) -> np.ndarray:
    """The network of a file, from what the file says and nothing else."""
    with safe_open(path, framework="numpy") as file:
        graph = json.loads(file.metadata()["graph"])
        values: dict[str, np.ndarray] = {}

        def rounded(value: np.ndarray, low: float, high: float) -> np.ndarray:
            step, first = (high - low) / 255, np.rint(low * 255 / (high - low))
            return np.rint(np.clip(value / step, first, first + 255)) * step

        def read(arg: dict[str, Any]) -> np.ndarray:
            ((kind, value),) = arg.items()
            if kind == "node":
                return values[value]
            found = file.get_tensor(value) if kind == "array" else np.asarray(value, np.float32)
            if "ranges" not in graph or found.ndim == 1:  # a bias, where there are no slopes
                return found
            if found.ndim == 0:
                return rounded(found, min(found, 0), max(found, 0))
            step = np.abs(found).max(axis=(0, 1, 2)) / 127
            return np.rint(found / step) * step

        def keep(name: str, value: np.ndarray) -> None:
            if name in graph.get("ranges", {}):
                ((kind, ends),) = graph["ranges"][name].items()
                value = rounded(value, *(file.get_tensor(ends) if kind == "array" else ends))
            values[name] = value

        keep(graph["input"], x)
        for node in graph["nodes"]:
            keep(node["name"], READER[node["op"]](*map(read, node["args"]), **node["attrs"]))
    return values[graph["output"]]


def drawn(name: str, scale: int, **options: Any) -> network.Network:
    """A collapsed network of weights that no initialiser gives twice."""
    module, key = create(name, scale=scale, **options), jax.random.key(0)
    image = jnp.zeros((1, 8, 8, options.get("channels", 1)))
    shapes = jax.eval_shape(lambda key: collapse(module.init(key, image)), key)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda p: rng.normal(scale=0.2, size=p.shape).astype("f"), shapes)
    return network.Network(name=name, scale=scale, options=options, variables=variables)


@pytest.mark.parametrize(
    ("name", "scale", "options"),
    [
        ("sesr_m3", 2, {"expansion": 4}),
        ("sesr_m3", 3, {"expansion": 4, "channels": 3}),
        ("sesr_m3_hw", 4, {"expansion": 4}),
        ("ecbsr_m4c8", 2, {"form": "dense"}),
        ("fsrcnn", 3, {"features": 6, "mappings": 1}),
    ],
)
def test_a_reader_without_this_package_rebuilds_the_network(
    tmp_path: pathlib.Path, name: str, scale: int, options: dict[str, Any]
) -> None:
    saved = drawn(name, scale, **options)
    path = tmp_path / "w.safetensors"
    network.save(saved, path)
    x = np.random.default_rng(1).uniform(size=(2, 9, 7, saved.channels)).astype(np.float32)
    expected = np.asarray(saved.apply(x))
    np.testing.assert_allclose(rebuilt(path, x), expected, atol=1e-4 * np.abs(expected).max())


def test_a_reader_rebuilds_a_network_that_was_trained_to_be_quantised(
    tmp_path: pathlib.Path,
) -> None:
    exact = drawn("sesr_m3_hw", 2, expansion=4)
    x = np.random.default_rng(1).uniform(size=(1, 9, 7, 1)).astype(np.float32)
    ranges = quant.calibrate(exact.trace(x.shape), [x])
    # Some that no observer gives, lest the text be right by chance.
    ranges["relu"] = (0.0, 0.5 * ranges["relu"][1])
    ends = {key: np.asarray(value, "f") for key, value in ranges.items()}
    saved = dataclasses.replace(exact, variables={**exact.variables, quant.RANGES: ends})
    path = tmp_path / "w.safetensors"
    network.save(saved, path)
    expected, floats = np.asarray(saved.apply(x)), np.asarray(exact.apply(x)).clip(0, 1)
    assert np.abs(expected - floats).max() > 0.1
    np.testing.assert_allclose(rebuilt(path, x), expected, atol=2.01 / 255)
    with safe_open(path, framework="numpy") as file:
        layouts = json.loads(file.metadata()["layouts"])
    assert {layouts[f"{quant.RANGES}/{key}"] for key in ranges} == {"low high"}


def test_a_collapsed_file_names_every_array_once_as_an_argument() -> None:
    found = drawn("sesr_m3", 2, expansion=4)
    graph = json.loads(describe(found.module, found.variables, channels=1)["graph"])
    args = [arg for node in graph["nodes"] for arg in node["args"]]
    used = [arg["array"] for arg in args if "array" in arg]
    assert sorted(used) == sorted(pack(found.variables)[0])
    assert [arg["value"] for arg in args if "value" in arg] == [pytest.approx(-128 / 255)]


class Computed(nn.Module):
    """Uses a parameter otherwise than it is stored."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        slope = self.param("slope", nn.initializers.constant(0.5), (x.shape[-1],))
        return ops.mul(x, 2 * slope)


def test_what_is_computed_from_parameters_is_told_by_value() -> None:
    module = Computed()
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    (node,) = json.loads(describe(module, variables, channels=1)["graph"])["nodes"]
    assert node["args"] == [{"node": "input"}, {"value": [1.0]}]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_layouts_and_tells_its_terms(form: str) -> None:
    shapes = jax.eval_shape(lambda key: FORMS[form](3)(key, 1, 4), jax.random.key(0))
    variables = {"params": {"term": jax.tree.map(lambda p: np.zeros(p.shape, p.dtype), shapes)}}
    arrays, skeleton = pack(variables)
    facts = describe(LinearConv(4, FORMS[form](3)), variables, channels=1)
    layouts = json.loads(facts["layouts"])
    assert layouts.keys() == arrays.keys()
    assert all(len(layouts[name].split()) == value.ndim for name, value in arrays.items())
    is_collapsed = isinstance(variables["params"]["term"], Conv)
    assert ("graph" in facts, "terms" in facts) == (is_collapsed, not is_collapsed)
    if not is_collapsed:
        told = json.loads(facts["terms"])
        assert told.keys() == {
            kind for kind in TERMS if f'"term": "{kind}"' in json.dumps(skeleton)
        }
        assert all(told.values())


class _OfAnyRank(nn.Module):
    """Holds one parameter of each rank from 0 to 5, and scales the image by all of them."""

    channels: int = 1

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.normal()
        parameters = [self.param(f"rank_{n}", init, (1, 2, 3, 1, 2)[:n]) for n in range(6)]
        return ops.mul(x, sum(jnp.sum(parameter) for parameter in parameters))


def test_parameters_of_any_rank_are_saved_with_their_axes_and_loaded(tmp_path, monkeypatch):
    module = _OfAnyRank()
    monkeypatch.setattr(network, "create", lambda name, scale, **options: module)
    net = network.init("any", scale=1, key=jax.random.key(0))
    network.save(net, tmp_path / "w.safetensors")
    loaded = network.load(tmp_path / "w.safetensors").variables
    jax.tree.map(np.testing.assert_array_equal, loaded, net.variables)
    assert jax.tree.map(jnp.shape, loaded) == jax.tree.map(jnp.shape, net.variables)
    layouts = json.loads(describe(module, net.variables, channels=1)["layouts"])
    ranks = {f"params/{name}": p.ndim for name, p in net.variables["params"].items()}
    assert {name: len(axes.split()) for name, axes in layouts.items()} == ranks
    assert all(len(set(axes.split())) == len(axes.split()) for axes in layouts.values())
