"""The proof of the collapse."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from sesr_jax.errors import InputError
from sesr_jax.export import prove_collapse
from sesr_jax.models import network
from sesr_jax.models.network import Network
from sesr_jax.quant import RANGES


@pytest.fixture(scope="module")
def expanded() -> Network:
    return network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=8)


def test_rounding_is_all_that_is_between_the_two(expanded: Network) -> None:
    proof = prove_collapse(expanded)
    assert proof.difference is not None
    assert 0 < proof.difference < 1e-5
    assert proof.dtype == "float32"
    assert proof.shape == (1, 96, 96, 1)


def test_other_forms_are_proved_too() -> None:
    made = network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), form="repvgg_bn", blocks=1)
    assert 0 < (prove_collapse(made).difference or 0) < 1e-5


def test_what_was_collapsed_before_has_nothing_to_compare_with(expanded: Network) -> None:
    assert prove_collapse(expanded.collapse()).difference is None


def test_the_proof_is_of_the_float_network(expanded: Network) -> None:
    graph = expanded.trace((1, 8, 8, 1))
    ranges = {node.name: jnp.asarray([-1.0, 1.0]) for node in graph.nodes}
    quantised = dataclasses.replace(expanded, variables={**expanded.variables, RANGES: ranges})
    assert prove_collapse(quantised) == prove_collapse(expanded)


def test_a_wrong_collapse_is_refused(expanded: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    collapsed = Network.collapse

    def wrong(self: Network) -> Network:
        made = collapsed(self)
        variables: Any = jax.tree.map(lambda p: p * 1.01, made.variables)
        return dataclasses.replace(made, variables=variables)

    monkeypatch.setattr(Network, "collapse", wrong)
    with pytest.raises(InputError, match=r"collapsed sesr_m3 differs .* by .*, where rounding"):
        prove_collapse(expanded)


def test_weights_that_are_not_finite_are_refused(expanded: Network) -> None:
    broken = jax.tree.map(lambda p: p.at[0].set(jnp.nan) if p.ndim == 1 else p, expanded.variables)
    with pytest.raises(InputError, match="not finite"):
        prove_collapse(dataclasses.replace(expanded, variables=broken))
