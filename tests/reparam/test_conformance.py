"""Every law on every form, alone and nested; a new form is one more line of the table."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from laws import SHAPE, check_law, check_plane, exact, image, small
from safetensors.numpy import load_file, save_file

from sesr_jax.errors import InputError
from sesr_jax.reparam import (
    FORMS,
    Concat,
    Conv,
    Dilated,
    Grouped,
    Identity,
    LinearConv,
    Sequential,
    Subsample,
    Sum,
    acnet,
    collapse,
    conv3xc,
    conv_bn,
    dbb,
    dense,
    ecb,
    expandnet_ck,
    expandnet_cl,
    find_statistics,
    kernel_basis,
    mobileone,
    orepa,
    quicksrnet,
    repsr,
    repvgg,
    with_batch_statistics,
    with_residual,
)
from sesr_jax.reparam.packing import pack, unpack


def halves(composition, *forms):
    """A form of two terms for half of the channels each: of the outputs, and if grouped of the inputs."""

    def form(key, in_features, out_features):
        before = in_features // 2 if composition is Grouped else in_features
        return composition(tuple(f(key, before, out_features // 2) for f in forms))

    return form


def strided(form):
    return lambda key, i, o: Sequential((form(key, i, o), Subsample(o, (2, 1))))


TABLE = {
    "dense": dense(3),
    "dense 2×4": dense((2, 4)),
    "dense, strided": dense((3, 2), strides=(2, 3)),
    "conv_bn": conv_bn(3),
    "collapsible": small(3),
    "collapsible 5×3": small((5, 3)),
    "collapsible, residual": small(3, residual=True),
    "collapsible, strided": strided(small(3)),
    "expandnet_cl": expandnet_cl(3, expansion=2),
    "expandnet_ck": expandnet_ck(3),
    "expandnet_ck 5×3": expandnet_ck((5, 3), expansion=2),
    "acnet": acnet(3),
    "acnet 5×3": acnet((5, 3)),
    "acnet_bn": acnet(3, batch_norm=True),
    "repvgg": repvgg(3),
    "repvgg_bn": repvgg(3, batch_norm=True),
    "mobileone": mobileone(3, branches=2),
    "dbb": dbb(3),
    "ecb": ecb(3),
    "ecb, residual": with_residual(ecb(3)),
    "repsr": repsr(3),
    "orepa": orepa(3, expansion=2),
    "conv3xc": conv3xc(3),
    "quicksrnet": quicksrnet(3),
    "kernel_basis": kernel_basis(3, size=2),
    "kernel_basis, residual": with_residual(kernel_basis(3, size=2)),
    "grouped": halves(Grouped, dense(3), small((1, 3), expansion=2)),
    "concat": halves(Concat, kernel_basis(3, size=2), dense((2, 1))),
    "dilated": lambda key, i, o: Dilated(dense(3)(key, i, o), (2, 1)),
    "acnet of collapsible of kernel_basis": acnet(
        3, conv=functools.partial(small, conv=functools.partial(kernel_basis, size=2))
    ),
    "repvgg of dbb, strided": strided(repvgg(3, conv=dbb)),
}

forms = pytest.mark.parametrize("form", TABLE.values(), ids=TABLE.keys())
_NORMALISED = {
    name: form for name, form in TABLE.items() if find_statistics(form(jax.random.key(0), 4, 4))
}


def _term(form, features: int = 4):
    return form(jax.random.key(0), 4, features)


def _floats(form):
    """As initialised, but with biases and branch factors that are not zero."""
    return jax.tree.map(lambda p: p + 0.1, _term(form))


def test_every_named_form_is_in_the_table():
    assert set(FORMS) <= set(TABLE)


@forms
def test_law_is_exact_on_integers(form):
    term = exact(_term(form))
    check_law(term, image(*SHAPE))
    check_plane(term)


# Where a form's branches or widths depend on the channels.
@pytest.mark.parametrize(
    "name", ["expandnet_cl", "repvgg", "repvgg_bn", "mobileone", "repsr", "quicksrnet", "grouped"]
)
def test_law_is_exact_where_channels_differ(name):
    term = exact(_term(TABLE[name], features=8))
    assert term.out_features == 8
    check_law(term, image(*SHAPE))


@forms
def test_law_holds_in_floats(form):
    term, x = _floats(form), jax.random.normal(jax.random.key(1), SHAPE)
    want = np.asarray(term.apply(x))
    np.testing.assert_allclose(
        term.collapse().apply(x), want, rtol=0, atol=1e-5 * np.abs(want).max()
    )


def test_law_holds_in_float64_to_the_last_bits():
    with jax.enable_x64(True):
        term = jax.tree.map(lambda p: p.astype(jnp.float64), _floats(TABLE["ecb"]))
        x = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE))
        want = np.asarray(term.apply(x))
        np.testing.assert_allclose(
            term.collapse().apply(x), want, rtol=0, atol=1e-13 * np.abs(want).max()
        )


@forms
def test_collapse_is_idempotent_and_keeps_the_facts(form):
    term = _term(form)
    once = term.collapse()
    twice = once.collapse()
    assert jax.tree.structure(twice) == jax.tree.structure(once)
    jax.tree.map(np.testing.assert_array_equal, twice, once)
    assert once.facts == term.facts
    assert once.kernel.shape[:2] == term.reach.kernel_size


@forms
def test_collapse_is_affine_in_each_factor(form):
    """All parameters but a variance enter once in every product: f(p + q) = f(p) + f(q) - f(0)."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(exact(_term(form)))
    values = [leaf for _, leaf in leaves]
    for i, (path, p) in enumerate(leaves):
        if jax.tree_util.keystr(path).endswith(".var"):
            continue

        def f(value, i=i):
            conv = structure.unflatten([*values[:i], value, *values[i + 1 :]]).collapse()
            return conv.kernel, 0 if conv.bias is None else conv.bias

        q = image(*p.shape, seed=i)
        ours = jax.tree.map(lambda a, b, c: a + b - c, f(p), f(q), f(0 * p))
        jax.tree.map(np.testing.assert_array_equal, f(p + q), ours)


@forms
def test_gradients_through_the_collapse_are_those_of_the_term(form):
    """Of every parameter and of the image, exactly; a variance's is zero on both sides."""
    term, x = exact(_term(form)), image(*SHAPE)
    weights = image(*jax.eval_shape(lambda t, y: t.apply(y), term, x).shape, seed=1)
    expanded = jax.grad(lambda t, y: jnp.sum(weights * t.apply(y)), (0, 1))(term, x)
    collapsed = jax.grad(lambda t, y: jnp.sum(weights * t.collapse().apply(y)), (0, 1))(term, x)
    jax.tree.map(np.testing.assert_array_equal, collapsed, expanded)


@pytest.mark.parametrize("name", ["dense 2×4", "dbb", "ecb", "kernel_basis, residual", "grouped"])
def test_forward_mode_transposes_reverse_mode(name):
    """⟨w, J v⟩ = ⟨Jᵀ w, v⟩, in both modes, for the parameters and the image together; exactly."""
    form, x = TABLE[name], image(*SHAPE)
    variables = exact(LinearConv(4, form).init(jax.random.key(0), x))
    tangents = jax.tree.map(lambda p: image(*p.shape, seed=1), (variables, x))

    @functools.partial(jax.jit, static_argnums=0)
    def both(mode, *tangents):
        run = LinearConv(4, form, mode).apply
        y, forward = jax.jvp(run, (variables, x), tangents)
        weights = image(*y.shape, seed=3)
        backward = jax.vjp(run, variables, x)[1](weights)
        products = jax.tree.map(jnp.vdot, backward, tangents)
        return jnp.vdot(weights, forward), sum(jax.tree.leaves(products))

    for mode in ("collapsed", "expanded"):
        forward, backward = both(mode, *tangents)
        assert forward == backward


@pytest.mark.parametrize("mode", ["collapsed", "expanded"])
def test_products_with_the_hessian_agree_in_every_order_of_the_modes(mode):
    module, x = LinearConv(4, TABLE["collapsible"], mode), image(*SHAPE) / 8
    variables = module.init(jax.random.key(0), x)
    tangents = jax.tree.map(jnp.ones_like, variables)

    @jax.jit
    @jax.grad
    def gradient(variables):
        return jnp.mean(jnp.sin(module.apply(variables, x)))

    def along(variables):
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient(variables), tangents)))

    def step(size):
        return gradient(jax.tree.map(lambda p: p + size, variables))

    _, forward = jax.jit(lambda v: jax.jvp(gradient, (v,), (tangents,)))(variables)
    differences = jax.tree.map(lambda a, b: (a - b) / 0.02, step(0.01), step(-0.01))
    for a, b, c in zip(
        *map(jax.tree.leaves, (forward, jax.jit(jax.grad(along))(variables), differences)),
        strict=True,
    ):
        largest = float(jnp.abs(a).max())
        np.testing.assert_allclose(b, a, atol=1e-4 * largest)
        np.testing.assert_allclose(c, a, atol=3e-2 * largest)


@forms
def test_collapse_commutes_with_vmap_and_pmap(form):
    term, other = (exact(_term(form), seed) for seed in (0, 1))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves)[None], term, other)
    both = jax.pmap(jax.vmap(type(term).collapse))(stacked)
    for i, want in enumerate((term.collapse(), other.collapse())):
        got = jax.tree.map(lambda p, i=i: p[0, i], both)
        jax.tree.map(np.testing.assert_array_equal, got, want)


@forms
def test_a_stacked_term_collapses_under_vmap_and_is_refused_elsewhere(form):
    """The values are those of the test above."""
    once, x = jax.eval_shape(lambda: _term(form).collapse()), jnp.zeros(SHAPE)
    stacked = jax.tree.map(lambda p: jnp.stack([p, p]), _term(form))
    both = jax.eval_shape(jax.vmap(collapse), stacked)
    assert jax.tree.structure(both) == jax.tree.structure(once)
    jax.tree.map(lambda two, one: np.testing.assert_equal(two.shape, (2, *one.shape)), both, once)
    for run in (collapse, lambda term: term.apply(x), lambda term: term.facts):
        with pytest.raises(InputError, match=r"\d dimensions.*jax\.vmap"):
            run(stacked)


@forms
def test_module_runs_expanded_and_collapsed_parameters(form):
    x = image(*SHAPE)
    variables = exact(LinearConv(4, form).init(jax.random.key(0), x))
    y = LinearConv(4, form).apply(variables, x)
    np.testing.assert_array_equal(LinearConv(4, form, "expanded").apply(variables, x), y)
    deployed = collapse(variables)
    assert isinstance(deployed["params"]["term"], Conv)
    np.testing.assert_array_equal(LinearConv(4, form).apply(deployed, x), y)


@forms
def test_dtypes_follow_the_input_in_a_module_and_the_parameters_in_a_term(form):
    """Shapes and dtypes are known without running anything."""
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32, jnp.float64):
        with jax.enable_x64(dtype == jnp.float64):
            x = jax.ShapeDtypeStruct(SHAPE, dtype)
            for mode in ("collapsed", "expanded"):
                module = LinearConv(4, form, mode)
                y, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
                assert y.dtype == dtype
                floats = {p.dtype for p in jax.tree.leaves(variables)}
                assert floats == {jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)}
            kernel = jax.eval_shape(lambda t: t.collapse(), variables["params"]["term"]).kernel
            assert kernel.dtype in floats


@forms
def test_dtypes_of_a_term_and_of_its_collapse_agree(form):
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        term = jax.tree.map(
            lambda p, dtype=dtype: jax.ShapeDtypeStruct(p.shape, dtype),
            jax.eval_shape(lambda: _term(form)),
        )
        x = jax.ShapeDtypeStruct(SHAPE, dtype)
        made = jax.eval_shape(lambda t, x: (t.apply(x), t.collapse()), term, x)
        assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("name", ["ecb", "collapsible"])
def test_bfloat16_is_off_by_its_rounding(name):
    variables = {"params": {"term": _floats(TABLE[name])}}
    x, run = jax.random.normal(jax.random.key(1), SHAPE), LinearConv(4, TABLE[name]).apply
    want = np.asarray(run(variables, x))
    got = np.asarray(run(variables, x.astype(jnp.bfloat16)), np.float32)
    # Inputs, kernel and sums round to 8 bits each.
    np.testing.assert_allclose(got, want, rtol=0, atol=3 * 2**-8 * np.abs(want).max())


@forms
def test_a_file_holds_the_term(form, tmp_path):
    params = {"a": {"term": _floats(form)}}
    arrays, skeleton = pack(params)
    save_file(arrays, tmp_path / "file")
    back = unpack(load_file(tmp_path / "file"), json.loads(json.dumps(skeleton)))
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@forms
def test_the_collapsed_kernel_quantises_to_half_a_step(form):
    """INT8, symmetric, a scale for each output channel, as the exported networks have it."""
    kernel = np.asarray(_floats(form).collapse().kernel)
    step = np.abs(kernel).max((0, 1, 2)) / 127
    codes = np.round(kernel / step).astype(np.int8)
    assert np.all(np.abs(codes * step - kernel) <= step / 2 * (1 + 1e-5))
    assert np.all(np.abs(codes).max((0, 1, 2)) == 127)


@pytest.mark.parametrize("form", _NORMALISED.values(), ids=_NORMALISED.keys())
def test_law_holds_for_the_statistics_of_a_batch(form):
    term, x = _floats(form), jax.random.normal(jax.random.key(1), (2, 8, 8, 4))
    settled = with_batch_statistics(term, x)
    assert find_statistics(settled).keys() == find_statistics(term).keys()
    want = np.asarray(settled.apply(x))
    np.testing.assert_allclose(
        settled.collapse().apply(x), want, rtol=0, atol=1e-5 * np.abs(want).max()
    )
    assert np.abs(want - term.apply(x)).max() > 1e-2 * np.abs(want).max()


@pytest.mark.parametrize(
    "term",
    [
        jax.tree.map(jnp.zeros_like, with_residual(dense(3))(jax.random.key(0), 2, 2)),
        jax.tree.map(jnp.zeros_like, repsr(3)(jax.random.key(0), 2, 2)),
    ],
    ids=["residual", "repsr"],
)
def test_a_residual_of_nothing_is_the_identity(term):
    x = jax.random.normal(jax.random.key(1), (1, 5, 5, 2))
    np.testing.assert_array_equal(term.collapse().apply(x), x)


def test_quicksrnet_starts_at_the_identity_plus_a_plain_convolution():
    key = jax.random.key(0)
    apart = Sum((dense(3)(key, 4, 4), Identity(4))).collapse()
    np.testing.assert_array_equal(quicksrnet(3)(key, 4, 4).kernel, apart.kernel)


def test_glorot_keeps_the_parameters_in_range():
    kernel = dense(3)(jax.random.key(0), 16, 16).collapse().kernel
    limit = (6 / (9 * 16 + 9 * 16)) ** 0.5
    assert float(jnp.abs(kernel).max()) <= limit
    assert float(jnp.abs(kernel).max()) > 0.9 * limit
