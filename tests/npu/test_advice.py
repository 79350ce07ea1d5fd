import dataclasses

import numpy as np
import pytest

from sesr_jax.npu import Candidate, estimate, find_ideas, layers_from_graph, make_latency_page
from sesr_jax.report import to_html
from sesr_jax.targets import find_target

TARGET = find_target("ethos-n78-4tops")


@pytest.fixture
def layers(builder):
    """SESR with PReLU, whose slopes the target does not take, and a residual."""
    b = builder(90, 160, 1)
    first = b.conv(16, 5)
    for _ in range(2):
        conv = b.conv(16, 3)
        b.add("prelu", conv, np.zeros(16), shape=b.shapes[conv])
    b.add("add", b.last, first, shape=b.shapes[first])
    b.conv(4, 5)
    b.depth_to_space(2)
    return layers_from_graph(b.graph())


def test_ideas_save_what_the_changed_network_takes_less(layers):
    ideas = {idea.text: idea.seconds for idea in find_ideas(layers, TARGET)}
    assert ideas["prelu to ReLU"] > 0
    assert ideas["no additions of two maps (residuals)"] > 0
    assert list(ideas.values()) == sorted(ideas.values(), reverse=True)


def test_fewer_channels_save_nothing_where_padding_fills_them(builder):
    b = builder(64, 64, 16)
    for _ in range(3):
        b.conv(16, 3, "relu")
    # With room for whole tensors the network computes and hardly transfers.
    memory = dataclasses.replace(TARGET.memory, sram_bytes=1 << 40)
    target = dataclasses.replace(TARGET, memory=memory)
    layers = layers_from_graph(b.graph())
    before = estimate(layers, target).seconds
    ideas = {idea.text: idea.seconds for idea in find_ideas(layers, target)}
    assert ideas["16 to 12 channels"] < before / 10
    assert ideas["16 to 12 channels"] == pytest.approx(ideas["16 to 8 channels"], abs=before / 10)


def test_a_network_without_anything_to_change_gets_no_ideas(builder):
    b = builder(8, 8, 3)
    b.conv(8, 3, "relu")
    assert find_ideas(layers_from_graph(b.graph()), TARGET) == ()


def test_the_page_holds_every_pass_idea_and_warning(layers):
    report = estimate(layers, TARGET)
    ideas = find_ideas(layers, TARGET)
    text = to_html(make_latency_page([Candidate(name="prelu net", report=report, ideas=ideas)]))
    assert all(row.name in text for row in report.rows)
    assert all(idea.text in text for idea in ideas)
    assert "NOT SUPPORTED" in text
    assert text.count("<svg") == 3
