"""How generations follow from one another, by laws and by seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.search.evolution import (
    Rules,
    breed,
    compute_credits,
    cross_segments,
    list_ancestors,
    select_pair,
    start_population,
)
from sesr_jax.search.sorting import measure_crowding, order_candidates, sort_fronts
from sesr_jax.search.space import count_active, draw_genome, make_design
from sesr_jax.search.spaces import find_space

_RULES = Rules(
    num_individual=8, num_elitism=4, mutation_rate=0.05, selection="roulette", tries=20_000
)
_SEED = 3


def _check_window(space, low, high):
    def check(genome):
        design = make_design(space, genome, 2)
        return "" if low <= space.count_parameters(design.options, 2) <= high else "outside"

    return check


def test_generations_of_the_paper_s_space_lie_in_its_window_and_follow_from_the_seed():
    space = find_space("esrn")()
    check = _check_window(space, 315_000, 325_000)
    first = list(start_population(space, _RULES, (), check, _SEED))
    scored = [(one, float(one.number)) for one in first]
    elite = first[::-1][:4]

    def make(seed):
        return breed(space, _RULES, 1, elite, scored, {}, check, seed)

    children = make(_SEED)
    assert children == make(_SEED) != make(_SEED + 1)
    assert [one.number for one in children] == list(range(8, 16))
    assert [one.origin for one in children] == ["mutation"] * 4 + ["crossover"] * 4
    for one in (*first, *children):
        assert not one.refusal
        assert not check(one.genome)
        assert count_active(one.genome) >= 16
    by_number = {one.number: one for one in (*first, *children)}
    family = list_ancestors(children[-1], by_number)
    assert [distance for distance, _ in family] == [0, 1, 1]


def test_a_child_without_room_keeps_the_reason():
    space = find_space("esrn")(node_num=3, min_active=1)
    rules = Rules(num_individual=2, num_elitism=1, mutation_rate=0.5, selection="roulette", tries=5)
    made = start_population(space, rules, (), lambda _: "too large", _SEED)
    assert [one.refusal for one in made] == ["too large"] * 2


@given(st.integers(0, 2**32 - 1))
def test_a_crossover_exchanges_one_segment(seed):
    space = find_space("sesr")()
    rng = np.random.default_rng(seed)
    one, other = draw_genome(space, rng), draw_genome(space, rng)
    pair = cross_segments(one, other, rng)
    for place, genes in enumerate(zip(one, other, *pair, strict=True)):
        assert sorted(genes[:2]) == sorted(genes[2:]), place
    moved = [i for i in range(len(one)) if pair[0][i] != one[i]]
    assert not moved or moved[-1] - moved[0] < len(one) // 2


@pytest.mark.parametrize("how", ["roulette", "tournament"])
def test_the_fitter_become_parents_more_often_and_no_one_twice_in_a_pair(how):
    fitness = [30.0, 31.0, 34.0, 30.5]
    pairs = [select_pair(fitness, how, np.random.default_rng(i)) for i in range(300)]
    assert all(one != other for one, other in pairs)
    counts = np.bincount(np.ravel(pairs), minlength=4)
    assert counts.argmax() == 2
    assert counts.argmin() == 0
    assert select_pair([1.0], how, np.random.default_rng(0)) == (0, 0)
    assert len({select_pair([1.0] * 4, how, np.random.default_rng(i)) for i in range(40)}) > 4


def test_values_of_good_candidates_earn_credit():
    space = find_space("esrn")(node_num=1, min_active=1)
    scored = [(((1, 0),), 33.0), (((1, 1),), 31.0), (((1, 2),), 32.0)]
    values = space.genes[0].letters[0].values
    found = compute_credits(space, scored)
    assert found[values[0]] == 2
    assert found[values[1]] == 0.5
    assert found[values[2]] == 1
    assert compute_credits(space, scored[:1]) == {}


_points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(_points)
def test_fronts_are_what_dominance_says(points):
    array = np.array(points, float)
    fronts = sort_fronts(array)
    assert sorted(i for front in fronts for i in front) == list(range(len(points)))

    def dominates(i, j):
        return all(array[i] <= array[j]) and any(array[i] < array[j])

    for number, front in enumerate(fronts):
        rest = [i for later in fronts[number:] for i in later]
        assert not any(dominates(i, j) for j in front for i in rest)
        if number:
            assert all(any(dominates(i, j) for i in fronts[number - 1]) for j in front)
    order = order_candidates(array)
    assert sorted(order[: len(fronts[0])]) == sorted(fronts[0])
    assert order_candidates(array[:, :1]) == list(np.argsort(array[:, 0], kind="stable"))


def test_the_ends_of_a_front_and_the_lonely_come_first():
    """The distance is the sum of the neighbours' distances by objective (Deb et al. 2002, §III.B)."""
    points = np.array([[0.0, 10.0], [1.0, 9.0], [4.0, 4.0], [10.0, 0.0]])
    np.testing.assert_allclose(measure_crowding(points), [np.inf, 0.4 + 0.6, 0.9 + 0.9, np.inf])
    assert order_candidates(points) == [0, 3, 2, 1]
