"""AMSGrad: the published rule against Keras step by step, and apart from optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sesr_jax.train.amsgrad import keras_amsgrad


def _gradients(steps=40):
    """Gradients that fall off after the first steps, where the two rules part."""
    random = np.random.default_rng(0)
    sizes = np.geomspace(10.0, 1e-3, steps)
    return (random.normal(size=(steps, 5)) * sizes[:, None]).astype(np.float32)


def _descend(transformation, gradients):
    """The parameters after every step from zero."""
    params = jnp.zeros(gradients.shape[1])
    state, path = transformation.init(params), []
    for gradient in gradients:
        updates, state = transformation.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.asarray(params))
    return np.stack(path)


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
def test_every_step_is_that_of_keras(b1, b2):
    keras = pytest.importorskip("keras", reason="needs Keras, which comes with TensorFlow")
    gradients = _gradients()
    optimiser = keras.optimizers.Adam(3e-3, beta_1=b1, beta_2=b2, epsilon=1e-7, amsgrad=True)
    variable, path = keras.Variable(np.zeros(5, np.float32)), []
    for gradient in gradients:
        optimiser.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        path.append(variable.value.numpy())
    ours = _descend(keras_amsgrad(3e-3, b1=b1, b2=b2), gradients)
    np.testing.assert_allclose(ours, np.stack(path), rtol=2e-5, atol=1e-8)


def test_every_step_is_that_of_the_formula():
    """Reddi et al. 2018 with the bias corrected behind the maximum, in float64."""
    gradients = _gradients().astype(np.float64)
    m, v, largest, x, path = 0.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v)
        x = x - 1e-2 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(largest) + 1e-7)
        path.append(x)
    ours = _descend(keras_amsgrad(1e-2), gradients.astype(np.float32))
    np.testing.assert_allclose(ours, np.stack(path), rtol=1e-4, atol=1e-7)


def test_optax_computes_another_rule():
    """It remembers the first, corrected moments for ever, and so ends up with smaller steps."""
    gradients = _gradients()
    ours, theirs = (_descend(make(1e-2), gradients) for make in (keras_amsgrad, optax.amsgrad))
    last_ours, last_theirs = (np.abs(np.diff(path[-2:], axis=0)).max() for path in (ours, theirs))
    assert last_ours > 2 * last_theirs


def test_the_state_shares_no_arrays():
    """A training step gives its state's buffers away; one given twice would be refused."""
    leaves = jax.tree.leaves(keras_amsgrad(1e-3).init({"kernel": jnp.ones((2, 2))}))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
