"""Arrays of small networks under the names of their authors' code."""

import jax
import jax.numpy as jnp
import numpy as np
from small_networks import SIDE, small_options

from sesr_jax.importers import LAYOUTS
from sesr_jax.models import create
from sesr_jax.models.layers import DIV2K_MEAN


def make_arrays(key, scale=4, **options):
    """Random arrays of the layout `key`, for the first of its models made small by `options`.

    Their size keeps the activations of a deep network near 1.
    """
    layout = LAYOUTS[key]
    options = small_options(layout.models[0]) | options
    options.pop("parts", None)  # files have as many as the model
    if "form" in options:
        options["form"] = layout.form
    lr = jnp.zeros((1, SIDE, SIDE, 3))
    blocks = options.get("blocks", layout.blocks)
    rng = np.random.default_rng(0)
    shapes = {}
    for s in layout.scales or (scale,):
        module = create(layout.models[0], scale=s, **options)
        params = jax.eval_shape(module.init, jax.random.key(0), lr)["params"]
        shapes |= layout.list_shapes(blocks, params, s)
    arrays = {
        name: (
            rng.normal(size=shape) * (0.1 if len(shape) < 4 else np.prod(shape) ** -0.35)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }
    for name, factor in layout.means.items():
        arrays |= {
            f"{name}.weight": np.eye(3)[..., None, None],
            f"{name}.bias": factor * DIV2K_MEAN,
        }
    return arrays
