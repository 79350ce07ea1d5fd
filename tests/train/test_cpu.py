"""A gradient in chunks is the batch's gradient, and a step that must see its whole batch does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import train
from sesr_jax.data import Batch
from sesr_jax.models import create
from sesr_jax.train import convolution
from sesr_jax.train.cpu import make_gradient, with_fast_convolutions
from sesr_jax.train.objective import Phase, make_objective

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="chunks are for CPUs")

_PHASE = Phase(by_batch=False, moving=False)


@pytest.fixture(autouse=True)
def _small_caches(monkeypatch):
    monkeypatch.setattr(convolution, "_CHUNK_VALUES", 24 * 24 * 4)


def _gradients(model="sesr_m3", **options):
    """The gradient of a whole batch and in chunks, and what makes their arguments but for the phase."""
    config = train.base()
    module = create(model, scale=2, **options)
    objective = make_objective(module, config)

    def whole(variables, batch, phase):
        loss = with_fast_convolutions(lambda *args: objective(*args, phase))
        return jax.value_and_grad(loss, has_aux=True)(variables, batch)

    def arguments(key):
        keys = jax.random.split(key, 3)
        lr = jax.random.uniform(keys[1], (2, 24, 24, 1))
        hr = jax.random.uniform(keys[2], (2, 48, 48, 1))
        return module.init(keys[0], lr[:, :8, :8]), Batch(lr=lr, hr=hr)

    return whole, make_gradient(objective, module, jnp.float32), arguments


def _loops(gradient, arguments):
    shapes = jax.eval_shape(arguments, jax.random.key(0))
    return str(jax.make_jaxpr(lambda *a: gradient(*a, _PHASE))(*shapes)).count(" scan[")


@pytest.mark.parametrize(("mode", "kernels"), [("collapsed", 3), ("expanded", 6)])
def test_chunks_add_up_to_the_batch(mode, kernels):
    whole, parts, arguments = _gradients(expansion=8, features=4, blocks=1, mode=mode)
    # A loop over chunks, in the place of one for each kernel's gradient.
    assert (_loops(parts, arguments), _loops(whole, arguments)) == (1, kernels)
    given = jax.jit(arguments)(jax.random.key(0))
    ((expected, _), theirs), ((loss, _), ours) = (
        jax.jit(f, static_argnums=2)(*given, _PHASE) for f in (whole, parts)
    )
    assert loss == pytest.approx(float(expected), rel=1e-5)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
    "options",
    [{"form": "repvgg_bn"}, {"form": "ecb", "mode": "expanded"}, {"model": "fsrcnn"}],
    ids=["batch norm", "depthwise terms", "transposed convolution"],
)
def test_a_batch_stays_whole_where_it_is_measured_or_a_loop_would_be_slow(options):
    whole, parts, arguments = _gradients(**options)
    assert _loops(parts, arguments) == _loops(whole, arguments)
