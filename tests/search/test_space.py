"""What genomes make: the networks that they name, at the cost that is counted without making them."""

import jax
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.models import create, network
from sesr_jax.search.measures import measure
from sesr_jax.search.space import (
    Gene,
    Letter,
    Space,
    draw_genome,
    format_genome,
    make_design,
    parse_genome,
)
from sesr_jax.search.spaces import SPACES, find_space, register_space
from sesr_jax.targets import find_target

_SMALL = {"esrn": {"node_num": 3, "min_active": 0, "conv_num": (1, 2), "conv_prob": (1.0, 1.0)}}
_spaces = pytest.mark.parametrize("name", SPACES)


@_spaces
def test_genomes_are_text_and_networks_of_the_counted_size(name):
    space = find_space(name)(**_SMALL.get(name, {}))
    scale = space.scales[0]
    for seed in range(3):
        genome = draw_genome(space, np.random.default_rng(seed))
        assert genome == draw_genome(space, np.random.default_rng(seed))
        if sum(gene[0] for gene in genome) < max(space.min_active, 1):
            continue
        assert parse_genome(space, format_genome(genome)) == genome
        design = make_design(space, genome, scale)
        assert measure(design, (16, 16)).params == space.count_parameters(design.options, scale)


@pytest.mark.parametrize(
    ("name", "scale", "model"), [("sesr", 2, "sesr_m5_hw"), ("mobile", 3, "abpn")]
)
def test_a_space_begins_with_the_network_that_it_is_around(name, scale, model):
    space = find_space(name)()
    (seed,) = space.seeds
    design = make_design(space, parse_genome(space, seed), scale, {"expansion": 256})
    if name == "sesr":
        variables = network.init(model, scale=scale, key=jax.random.key(0)).variables
        x = jax.random.uniform(jax.random.key(1), (1, 9, 8, 1))
        mine = create(design.model, scale=scale, **design.options).apply(variables, x)
        np.testing.assert_array_equal(mine, create(model, scale=scale).apply(variables, x))
    known = measure(type(design)(model=model, scale=scale, options={}), (24, 24))
    assert measure(design, (24, 24)) == known


def test_the_space_of_the_paper_has_90_types_of_blocks_in_20_places():
    space = find_space("esrn")()
    assert [len(gene.letters[0].values) for gene in space.genes] == [90] * 20
    chances = find_space("esrn")(type_prob=(2.0, 1.0, 1.0)).genes[0].letters[0]
    shrinking = [w for v, w in zip(chances.values, chances.weights, strict=True) if v[0] == "S"]
    assert sum(shrinking) == sum(chances.weights) / 2


@pytest.mark.parametrize(
    "text", ["", "1.0.0", "1.0 1.0 1.0", "1.90 1.0", "2.0 1.0", "0.0 0.0", "1.x 1.0"]
)
def test_a_genome_of_another_space_is_refused(text):
    space = find_space("esrn")(node_num=2, min_active=1)
    parse_genome(space, "1.89 0.0")
    with pytest.raises(InputError):
        parse_genome(space, text)


def test_a_target_says_what_it_does_not_run_and_how_long_the_rest_takes():
    space = find_space("esrn")(node_num=1, min_active=1)
    values = space.genes[0].letters[0].values
    target = find_target("ethos-n78-4tops")
    for name, runs in (("S_4_16_16", True), ("G_4_16_16", False)):
        design = make_design(space, ((1, values.index(name)),), 2)
        found = measure(design, (64, 64), target)
        assert bool(found.refusal) != runs
        assert found.milliseconds > 0


def test_a_space_of_ones_own_is_found_by_its_name():
    def make_space(*, most: int = 3) -> Space:
        letter = Letter(values=tuple(f"3x3_{i}" for i in range(1, most + 1)))
        return Space(
            model="layered_sesr",
            scales=(2,),
            genes=(Gene(letters=(letter,)),),
            express=lambda values: {"layers": values[0][0], "form": "dense"},
        )

    try:
        register_space("own", make_space)
        space = find_space("own")(most=5)
        assert make_design(space, ((1, 4),), 2).options["layers"] == "3x3_5"
        with pytest.raises(InputError):
            register_space("own", lambda: None)
    finally:
        SPACES.pop("own", None)
    with pytest.raises(InputError):
        find_space("own")
