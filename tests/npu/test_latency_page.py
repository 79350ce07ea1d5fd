from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.npu.page import pareto_front

POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1)


@given(POINTS)
def test_a_front_holds_what_nothing_else_beats(points):
    front = pareto_front(points)
    assert len(set(front)) == len(front)
    for seconds, psnr in points:
        better = [p for p in points if p[0] <= seconds and p[1] >= psnr and p != (seconds, psnr)]
        assert ((seconds, psnr) in front) == (not better)
