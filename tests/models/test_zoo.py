"""Every network of the zoo says what it is, and keeps to it."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from small_networks import small_options

from sesr_jax.models import VARIANTS, UpscalingModule, create


@pytest.mark.parametrize("name", VARIANTS)
def test_a_network_says_what_it_takes_and_gives(name):
    for scale in VARIANTS[name].scales:
        module = create(name, scale=scale, **small_options(name))
        assert isinstance(module, UpscalingModule)
        assert (module.scale, module.mode) == (scale, "collapsed")
        image = jax.ShapeDtypeStruct((2, 16, 20, module.channels), jnp.float32)
        output, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), image)
        assert output.shape == (2, 16 * scale, 20 * scale, module.channels)


@pytest.mark.parametrize("name", VARIANTS)
def test_figures_are_of_the_network_s_own_name_and_scales(name):
    figures = VARIANTS[name].figures
    assert {row.model for row in figures} <= {name}
    assert {row.scale for row in figures} <= set(VARIANTS[name].scales)
    assert len(VARIANTS[name].published) == len(figures)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_option_s_default_is_one_of_its_values(name):
    """So that what a module says of its fields is what `create` checks."""
    variant = VARIANTS[name]
    module = create(name, scale=variant.scales[0])
    options = {
        field.name: getattr(module, field.name)
        for field in dataclasses.fields(module)
        if field.name not in ("scale", "parent", "name")
    }
    assert create(name, scale=variant.scales[0], **options) == module
