import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.npu import Candidate, Idea, estimate, layers_from_graph, make_latency_page
from sesr_jax.npu.page import _make_roofline, find_pareto_front
from sesr_jax.report import Table, to_html
from sesr_jax.targets import find_target

POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1)


@given(POINTS)
def test_a_front_holds_what_nothing_else_beats(points):
    front = find_pareto_front(points)
    assert len(set(front)) == len(front)
    for seconds, psnr in points:
        better = [p for p in points if p[0] <= seconds and p[1] >= psnr and p != (seconds, psnr)]
        assert ((seconds, psnr) in front) == (not better)


def test_time_and_what_does_not_run_come_first(builder):
    b = builder(64, 64, 16)
    b.conv(16, 3)
    b.add("prelu", b.last, np.full(16, 0.1), shape=b.shapes[b.last])
    report = estimate(layers_from_graph(b.graph()), find_target("ethos-n78-4tops"))
    ideas = [Idea("slower", -1e-3), Idea("the same", 1e-9), Idea("faster", 1e-3)]
    page = make_latency_page([Candidate(name="net", report=report, ideas=ideas)])
    tables = [block for s in page.sections for block in s.blocks if isinstance(block, Table)]
    totals, helps, others, passes, _ = tables
    assert list(totals.header[:6]) == ["network", "target", "ms", "FPS", "not run", "bound by"]
    assert totals.rows[0][4] == "1"
    assert passes.header[:4] == ["pass", "ms", "not run", "bound by"]
    assert any("slope" in row[2] for row in passes.rows)
    assert [row[0] for row in helps.rows] == ["faster"]
    assert [row[:2] for row in others.rows] == [["slower", "1.00"], ["the same", "0.00"]]
    to_html(page)


def test_the_roofline_has_no_point_for_what_does_not_run(builder):
    b = builder(64, 64, 16)
    b.conv(16, 3)
    b.conv(16, 4)  # a kernel that Ethos-N lacks
    report = estimate(layers_from_graph(b.graph()), find_target("ethos-n78-4tops"))
    assert list(_make_roofline(report).points) == ["0"]
