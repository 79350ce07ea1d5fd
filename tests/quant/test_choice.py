"""Each tensor gets the range that suits it, among those that observers find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import graph as graphs
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.quant import (
    CHOSEN,
    OBSERVERS,
    Scheme,
    calibrate,
    choose_ranges,
    find_points,
    find_ranges,
    list_parts,
    make_probe,
)


def test_each_group_gets_the_range_that_suits_it(graph, images):
    ranges = calibrate(graph, [images])
    first, second = [key for key in ranges if "block" in key][:2]
    one, other = {**ranges, first: (-300.0, 300.0)}, {**ranges, second: (-300.0, 300.0)}
    assert choose_ranges(graph, [one, other], [images]) == ranges


@pytest.mark.parametrize("scheme", [Scheme(), Scheme(activations="int16")])
def test_chosen_ranges_are_those_of_observers_and_none_alone_costs_more(graph, images, scheme):
    side = images.shape[1]
    wide = np.random.default_rng(1).uniform(size=(1, side, 2 * side, 1))  # of another size
    photos = [images, wide]
    found = find_ranges(graph, photos, scheme, CHOSEN)
    by_observer = {name: find_ranges(graph, photos, scheme, name) for name in OBSERVERS}
    assert found.keys() == set(find_points(graph, scheme).group.values())
    for key, limits in found.items():
        assert limits in [ranges[key] for ranges in by_observer.values()]
    centres = np.concatenate([images, wide[:, :, side // 2 : -side // 2]]).astype(np.float32)
    output = jnp.clip(graphs.run(graph, centres), 0, 1)
    probe = make_probe(graph, centres, output, scheme)
    for part in list_parts(graph, scheme):
        if part.kind == "codes":
            errors = [probe(ranges, [part]) for ranges in by_observer.values()]
            assert probe(found, [part]) == pytest.approx(min(errors), rel=1e-5)


def test_centres_have_sides_that_the_network_takes():
    net = network.init("tinysrnet", scale=3, key=jax.random.key(0))
    graph = net.collapse().trace((1, 24, 24, 3))
    align = graphs.measure_extent(graph).align
    assert align > 1
    photo = np.random.default_rng(0).uniform(size=(1, 3 * align, 5 * align, 3))
    found = find_ranges(graph, [photo], observer=CHOSEN)
    assert found.keys() == set(find_points(graph).group.values())


def test_an_unknown_observer_is_refused(graph, images):
    with pytest.raises(InputError, match="'median'"):
        find_ranges(graph, [images], observer="median")
