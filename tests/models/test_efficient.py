"""The networks of the challenges on efficient super-resolution cost what the reports print, to the digit."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.graph import count_cost, eval_shapes
from sesr_jax.models import create, network

# Published for an input of 256×256: 10⁶ parameters, 10⁹ FLOPs, 10⁶ activations, convolutions; "-" was not
# printed. The sources are: AIM, Table 1 of AIM 2020 (Zhang et al., arXiv:2009.06943), which cuts digits off;
# LOG, the authors' own counts; NTIRE, the tables of NTIRE's reports; NTIRE24, the logs of 2024 and later.
_PUBLISHED = """
msrresnet      4 AIM     1.517     166.36 292.55   37
imdn           4 LOG     0.715176       - -        -
imdn           3 LOG     0.703059       - -        -
imdn           2 LOG     0.694404       - -        -
imdn_aim2019   4 AIM      .893      58.53 154.14   43
fimdn          4 AIM      .687      44.98 118.49   33
rfdn_aim2020   4 AIM      .433      27.10 112.03   64
pan            4 AIM      .272      32.19 270.53  121
pan            4 LOG      .272419       - -        -
pan            2 LOG      .261403       - -        -
latticenet     4 AIM      .777      49.67 132.31  104
maffsrn        4 AIM      .441      27.11 212.24  159
rlfn           4 LOG      .543740       - -        -
rlfn           2 LOG      .526856       - -        -
rlfn_s         4 LOG      .470208       - -        -
rlfn_s         2 LOG      .454620       - -        -
rlfn_ntire2022 4 NTIRE    .317218   19.70  80.05   39
rlfn_ntire2022 4 NTIRE24  .317218 19.67485952 80.045184 39
efdn           4 NTIRE    .276      16.73 111.12   65
efdn           4 NTIRE24  .2762   16.7035 111.1167 65
span_ntire2024 4 NTIRE24  .150688 9.833807872 41.680896 22
span_tiny      4 NTIRE    .131   8.54     -        -
spanv2         4 NTIRE    .139   9.11     42.99   18
"""

# What ours counts and the published counters leave out: FLOPs, activations, convolutions.
# - AIM's sees layers alone; MSRResNet's blocks call ReLU as a function, and MAFFSRN interpolates bicubically,
#   which is a fixed convolution of 5×5 here.
# - SPANV2's gates are part of an operation of its own, of which NTIRE's report counts the FLOPs alone.
# - NTIRE's since 2024 sees no activation functions; it counts 4 for each element of a bilinear resizing, and
#   ours does not.
_PIXELS = 256**2
_BY_HAND = {
    ("msrresnet", "AIM"): (16 * 64 * _PIXELS, 0, 0),
    ("maffsrn", "AIM"): (25 * 48 * _PIXELS, 48 * _PIXELS, 1),
    ("spanv2", "NTIRE"): (11 * 32 * _PIXELS, 4 * 32 * _PIXELS, 4),
    ("rlfn_ntire2022", "NTIRE24"): (-4 * 4 * 16 * _PIXELS, 0, 0),
    ("efdn", "NTIRE24"): (-4 * 4 * 12 * _PIXELS, 0, 0),
}


@functools.cache
def _count(name, scale):
    def count():
        fresh = network.init(name, scale=scale, key=jax.random.key(0))
        return count_cost(fresh.trace((1, 256, 256, 3)))

    return eval_shapes(count)


@pytest.mark.parametrize("row", _PUBLISHED.strip().splitlines())
def test_the_costs_are_the_published_ones(row):
    name, scale, source, *printed = row.split()

    found = _count(name, int(scale))
    flops, activations, convolutions = _BY_HAND.get((name, source), (0, 0, 0))
    ours = (
        found.parameters / 1e6,
        ((found.macs if source == "NTIRE24" else found.flops) - flops) / 1e9,
        (found.activations - activations) / 1e6,
        found.convolutions - convolutions,
    )
    for value, text in zip(ours, printed, strict=True):
        if text != "-":
            digits = len(text.partition(".")[2])
            # Equal as it is printed, whether its further digits were rounded or cut off.
            assert math.isclose(value, float(text), abs_tol=1.01 * 10**-digits if digits else 0)


def test_a_reconstructed_network_is_about_as_large_as_published():
    found = _count("uestc_medialab", 4)
    assert found.convolutions == 57
    assert found.parameters == pytest.approx(0.461e6, rel=0.03)
    assert found.flops == pytest.approx(30.06e9, rel=0.03)
    assert found.activations == pytest.approx(219.61e6, rel=0.04)


def test_the_near_pixels_of_spanv2_start_as_copies():
    module = create("spanv2", scale=4, features=4, blocks=1, form="dense")
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 3, 4, 3)), jnp.float32)
    params = module.init(jax.random.key(0), x)["params"]
    params["depthwise"]["kernel"] = jnp.zeros((3, 3, 1, 52)).at[1, 1].set(1)
    colours = np.arange(48) % 3 * 16 + np.arange(48) // 3  # pixel by pixel, as the tail gives them
    kernel = jnp.zeros((1, 1, 52, 48)).at[0, 0, colours, np.arange(48)].set(1)
    params["tail"] = {"term": params["tail"]["term"].replace(kernel=kernel)}
    expected = np.repeat(np.repeat(x, 4, axis=1), 4, axis=2)
    np.testing.assert_array_equal(module.apply({"params": params}, x), expected)


def test_an_image_without_room_for_a_pooling_is_refused():
    module = create("rfdn_aim2020", scale=4, features=4, blocks=1)
    with pytest.raises(InputError, match=r"6×8 .*7×7: "):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 14, 17, 3)))
