from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.npu import estimate, layers_from_graph
from sesr_jax.npu.page import _roofline, pareto_front
from sesr_jax.targets import find_target

POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1)


@given(POINTS)
def test_a_front_holds_what_nothing_else_beats(points):
    front = pareto_front(points)
    assert len(set(front)) == len(front)
    for seconds, psnr in points:
        better = [p for p in points if p[0] <= seconds and p[1] >= psnr and p != (seconds, psnr)]
        assert ((seconds, psnr) in front) == (not better)


def test_the_roofline_has_no_point_for_what_does_not_run(builder):
    b = builder(64, 64, 16)
    b.conv(16, 3)
    b.conv(16, 4)  # a kernel that Ethos-N lacks
    report = estimate(layers_from_graph(b.graph()), find_target("ethos-n78-4tops"))
    assert list(_roofline(report).points) == ["0"]
