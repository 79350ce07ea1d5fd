"""The parts that cost most are found, and parts add up to the whole network."""

import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import graph as graphs
from sesr_jax.quant import (
    Part,
    Scheme,
    calibrate,
    fake,
    make_probe,
    measure_sensitivity,
)
from sesr_jax.quant.sensitivity import list_parts, run_partly


@pytest.fixture(scope="module")
def ranges(graph, images):
    return calibrate(graph, [images])


@pytest.fixture(scope="module")
def references(graph, images):
    """The float network's output with some noise, so that there is a PSNR to lose from."""
    output = jnp.clip(graphs.run(graph, images), 0, 1)
    return output + np.random.default_rng(1).normal(scale=0.05, size=output.shape)


def test_all_parts_make_the_quantised_network_and_none_the_float_one(graph, images, ranges):
    for scheme in (Scheme(), Scheme(activations="int16", exclude=("*1*",))):
        parts = list_parts(graph, scheme)
        whole = run_partly(graph, ranges, images, dict.fromkeys(parts, True), scheme)
        np.testing.assert_array_equal(whole, fake.run(graph, ranges, images, scheme))
        none = run_partly(graph, ranges, images, dict.fromkeys(parts, False), scheme)
        np.testing.assert_array_equal(none, graphs.run(graph, images))


def test_codes_of_16_bits_everywhere_make_the_network_of_16_bits(graph, images, ranges):
    taken = dict.fromkeys(list_parts(graph), True)
    narrow = run_partly(graph, ranges, images, taken, wide=dict.fromkeys(taken, False))
    np.testing.assert_array_equal(narrow, fake.run(graph, ranges, images))
    wide = run_partly(graph, ranges, images, taken, wide=taken)
    np.testing.assert_array_equal(
        wide, fake.run(graph, ranges, images, Scheme(activations="int16"))
    )


def test_a_probe_tells_what_finer_codes_of_one_tensor_win(graph, images, ranges, references):
    probe, parts = make_probe(graph, images, references), list_parts(graph)
    bad = next(part for part in parts if "block_1" in part.name and part.kind == "codes")
    spoilt = {**ranges, bad.name: (-300.0, 300.0)}
    whole = probe(ranges, parts)
    assert probe(spoilt, parts) > 1.5 * whole
    assert probe(spoilt, parts, [bad]) == pytest.approx(whole, rel=0.1)


def test_a_range_that_is_far_too_wide_is_found(graph, images, ranges, references):
    bad = next(key for key in ranges if "block_1" in key)
    spoilt = {**ranges, bad: (-300.0, 300.0)}
    rows = measure_sensitivity(graph, spoilt, images, references)
    assert rows[0].part == Part(bad, "codes")
    assert len(rows) == len({row.part for row in rows}) == len(list_parts(graph))
    assert rows[0].alone > 1 > 5 * rows[1].alone
    assert rows[0].won > 1 > 5 * max(abs(row.won) for row in rows[1:])
    assert abs(rows[0].left) < 0.2
    assert rows[-1].left == 0
