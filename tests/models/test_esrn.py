"""ESRN is built from the names of its blocks, and costs what the authors' code counts without its fault."""

import itertools

import jax
import pytest

from sesr_jax.errors import InputError
from sesr_jax.graph import count_cost, eval_shapes
from sesr_jax.models import create, network
from sesr_jax.models.esrn import EXAMPLE, count_parameters, parse_blocks

_SIZES = ("1_8_8", "2_8_12", "4_4_16")
_NAMES = [f"{kind}_{size}" for size, kind in itertools.product(_SIZES, "SGC")]


def test_the_documented_example_has_520595_parameters():
    """As its layers in huawei-noah/vega have; that code's own count leaves out most of the 1×1s."""
    assert count_parameters(parse_blocks(EXAMPLE), scale=2) == 520_595


@pytest.mark.parametrize(("scale", "channels"), [(2, 3), (3, 1), (4, 3)])
def test_the_count_of_parameters_is_that_of_the_network(scale, channels):
    options = {"features": 12, "blocks": " ".join(_NAMES), "channels": channels}

    def count():
        fresh = network.init("esrn", scale=scale, key=jax.random.key(0), **options)
        return count_cost(fresh.trace((1, 16, 16, channels))).parameters

    blocks = parse_blocks(options["blocks"])
    assert eval_shapes(count) == count_parameters(
        blocks, scale=scale, features=12, channels=channels
    )


@pytest.mark.parametrize(
    "blocks", ["", "D_4_8_8", "S_4_8", "G_4_6_8", "C_0_8_8", "S_99_8_8", "S_4_8_8 x", "S_4_2000_8"]
)
def test_a_wrong_name_is_refused(blocks):
    with pytest.raises(InputError):
        create("esrn", scale=2, blocks=blocks).init(
            jax.random.key(0), jax.numpy.zeros((1, 8, 8, 3))
        )
