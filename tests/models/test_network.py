import dataclasses
import functools
import json
import re

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from sesr_jax.errors import InputError
from sesr_jax.models import VARIANTS, create, network
from sesr_jax.reparam import FORMS, AveragePool, acnet

_SMALL = {"expansion": 4}


def _network(name: str = "sesr_m3", scale: int = 2) -> network.Network:
    return network.init(
        name, scale=scale, key=jax.random.key(0), **({} if name == "fsrcnn" else _SMALL)
    )


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("name", ["sesr_m3", "sesr_m5_hw", "fsrcnn"])
def test_a_file_gives_back_the_network(tmp_path, name, collapsed):
    saved = _network(name).collapse() if collapsed else _network(name)
    network.save(saved, tmp_path / "w.safetensors", note="x")
    loaded = network.load(tmp_path / "w.safetensors")
    assert (loaded.name, loaded.scale, dict(loaded.options)) == (
        saved.name,
        saved.scale,
        dict(saved.options),
    )
    assert jax.tree.structure(loaded.variables) == jax.tree.structure(saved.variables)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, saved.variables)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_equal_networks_are_equal_files(tmp_path):
    for i in range(5):
        network.save(_network(), tmp_path / f"{i}.safetensors", a="1", b="2", c="ü")
    (content,) = {path.read_bytes() for path in tmp_path.iterdir()}
    assert int.from_bytes(content[:8], "little") % 8 == 0  # where the arrays begin


def test_collapsing_keeps_the_function_and_shrinks_the_file(tmp_path):
    expanded = network.init("sesr_m3", scale=2, key=jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (1, 16, 16, 1))
    np.testing.assert_array_equal(expanded.collapse().apply(x), expanded.apply(x))
    network.save(expanded, tmp_path / "e.safetensors")
    network.save(expanded.collapse(), tmp_path / "c.safetensors")
    assert (tmp_path / "e.safetensors").stat().st_size > 20 * (
        tmp_path / "c.safetensors"
    ).stat().st_size


def test_a_truncated_file_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "w.safetensors"
    network.save(_network(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="safetensors"):
        network.load(path)


def test_a_foreign_file_is_refused(tmp_path):
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"format None.* '1'"):
        network.load(tmp_path / "w.safetensors")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.safetensors"):
        network.load(tmp_path / "w.safetensors")


def test_the_file_names_its_arrays_as_the_tree_does(tmp_path):
    network.save(_network().collapse(), tmp_path / "w.safetensors")
    names = load_file(tmp_path / "w.safetensors")
    assert "params/block_0/term/kernel" in names
    assert "params/prelu_0/slope" in names


def test_an_image_of_integers_is_refused():
    made = _network()
    for image in (np.full((1, 8, 8, 1), 200, np.uint8), np.ones((1, 8, 8, 1), np.int32)):
        with pytest.raises(InputError, match=rf"an image of {image.dtype}, .*x / 255"):
            made.apply(image)


def test_an_option_that_is_a_function_is_not_saved(tmp_path):
    made = network.init("sesr_m3", scale=2, key=jax.random.key(0), form=acnet)
    with pytest.raises(InputError, match=r"option form is <function acnet "):
        network.save(made, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_unknown_models_scales_and_options_are_named():
    with pytest.raises(InputError, match=r"'sesr_m6'.* 'sesr_m"):
        create("sesr_m6", scale=2)
    with pytest.raises(InputError, match=r"×5: .*×2, ×3, ×4"):
        create("sesr_m5", scale=5)
    with pytest.raises(InputError, match="depth"):
        create("sesr_m5", scale=2, depth=3)
    with pytest.raises(InputError, match=r"activation is 'gelu': .*prelu, relu"):
        create("sesr_m5", scale=2, activation="gelu")
    for option, value in (
        ("features", 0),
        ("blocks", -1),
        ("expansion", "x"),
        ("centre", "a"),
        ("channels", 2),
        ("short_residual", "no"),
    ):
        with pytest.raises(InputError, match=re.escape(f"option {option} is {value!r}")):
            create("sesr_m5", scale=2, **{option: value})
    with pytest.raises(InputError, match=r"mode is 'colapsed': .*expanded"):
        create("fsrcnn", scale=2, mode="colapsed")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_chosen_by_its_name(form):
    named = network.init("sesr_m3", scale=2, key=jax.random.key(0), form=form, **_SMALL)
    made = functools.partial(FORMS[form], **(_SMALL if form == "collapsible" else {}))
    given = network.init("sesr_m3", scale=2, key=jax.random.key(0), form=made, **_SMALL)
    jax.tree.map(np.testing.assert_array_equal, named.variables, given.variables)


def test_an_unknown_form_is_named():
    for form in ("acnot", 3):
        with pytest.raises(InputError, match=rf"form {form!r}: .*acnet"):
            create("sesr_m3", scale=2, form=form)


def test_published_figures_grow_with_the_network():
    sizes = ["sesr_m3", "sesr_m5", "sesr_m7", "sesr_m11", "sesr_xl"]
    for scale in (2, 4):
        psnr = [VARIANTS[name].published[scale]["Set14"][0] for name in sizes]
        assert psnr == sorted(psnr)
    assert VARIANTS["sesr_m5"].published[2]["DIV2K"] == (35.24, 0.9389)
    assert not VARIANTS["sesr_m5_hw"].published


def test_a_network_of_three_channels_keeps_them_apart_in_its_input_residual():
    rgb = network.init("sesr_m3", scale=4, key=jax.random.key(0), channels=3, **_SMALL)
    assert rgb.channels == 3
    zeros = jax.tree.map(np.zeros_like, rgb.variables)
    x = jax.random.uniform(jax.random.key(1), (1, 5, 6, 3))
    y = rgb.module.apply(zeros, x)
    np.testing.assert_allclose(y, x.repeat(4, axis=1).repeat(4, axis=2))


def test_the_activation_behind_the_head_and_the_centring_are_options():
    options = {**_SMALL, "head_activation": True, "centre": 0.0}
    changed = network.init("sesr_m3", scale=2, key=jax.random.key(0), **options)
    assert "head_prelu" in changed.variables["params"]
    black = jax.numpy.zeros((1, 8, 8, 1))
    np.testing.assert_array_equal(changed.apply(black), 0)  # all biases start at zero
    assert np.abs(_network().apply(black)).max() > 0


def test_a_network_that_runs_expanded_runs_collapsed_once_it_is(tmp_path):
    options = {**_SMALL, "mode": "expanded"}
    large = network.init("sesr_m3", scale=2, key=jax.random.key(0), **options)
    small = large.collapse()
    assert small.trace((1, 8, 8, 1)).nodes
    network.save(small, tmp_path / "w.safetensors")
    x = jax.random.uniform(jax.random.key(1), (1, 8, 8, 1))
    np.testing.assert_allclose(small.apply(x), large.apply(x), atol=1e-5)


@pytest.mark.parametrize("key", ["structure", "options", "scale"])
def test_damaged_metadata_are_refused_in_one_sentence(tmp_path, key):
    network.save(_network(), tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "numpy") as file:
        metadata = {**file.metadata(), key: "{"}
    save_file(load_file(tmp_path / "w.safetensors"), tmp_path / "v.safetensors", metadata)
    with pytest.raises(InputError, match=r"\.safetensors.*metadata"):
        network.load(tmp_path / "v.safetensors")


_KERNEL = {"array": "params/head/term/kernel"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "sesr_m5"),
        ("model", ""),
        ("scale", "2.0"),
        ("scale", "[2]"),
        ("scale", "3"),
        ("scale", "9" * 5000),
        ("options", "[]"),
        ("options", "[" * 5000),
        ("options", '{"features": 1e999}'),
        ("options", '{"parent": 1}'),
        ("options", '{"form": ["acnet"]}'),
        ("options", '{"channels": 3}'),
        ("scheme", '{"activations": 8}'),
        ("scheme", '{"exclude": "abc"}'),
        ("structure", "[]"),
        ("structure", "{}"),
        ("structure", '{"dict": []}'),
        ("structure", '{"tuple": {}}'),
        ("structure", '{"array": ["x"]}'),
        ("structure", '{"dict": {"params": {"static": 1}}}'),
        ("structure", '{"dict": {"params": {"term": "Conv"}}}'),
        ("structure", '{"dict": {"params": {"term": ["Conv"], "fields": {}}}}'),
        ("structure", '{"dict": {"params": {"term": "Identity", "fields": {}}}}'),
        ("structure", json.dumps({"term": "Conv", "fields": {"kernel": {"static": 3}}})),
        ("structure", json.dumps({"term": "Conv", "fields": {"kernel": _KERNEL, "bias": _KERNEL}})),
        (
            "structure",
            json.dumps({"term": "AveragePool", "fields": {"size": {"static": [1 << 40, 1]}}}),
        ),
    ],
)
def test_metadata_that_lie_are_refused_in_one_sentence(tmp_path, key, value):
    network.save(_network().collapse(), tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "numpy") as file:
        metadata = {**file.metadata(), key: value}
    save_file(load_file(tmp_path / "w.safetensors"), tmp_path / "v.safetensors", metadata)
    with pytest.raises(InputError) as refused:
        network.load(tmp_path / "v.safetensors")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_term_whose_kernel_would_fill_the_memory_is_refused(tmp_path):
    made = _network().collapse()
    pool = AveragePool(size=(1 << 20, 1 << 20), features=16)
    params = {**made.variables["params"], "extra": {"term": pool}}
    network.save(
        dataclasses.replace(made, variables={"params": params}), tmp_path / "w.safetensors"
    )
    with pytest.raises(InputError, match="AveragePool"):
        network.load(tmp_path / "w.safetensors")


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    made = network.init("sesr_m3", scale=2, key=jax.random.key(0), **_SMALL)
    broken = jax.tree.map(lambda p: p * np.nan, made.variables)
    network.save(dataclasses.replace(made, variables=broken), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors .*\(params/"):
        network.load(tmp_path / "w.safetensors")
