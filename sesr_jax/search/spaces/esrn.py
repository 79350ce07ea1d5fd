"""The space of ESR-EA (Song et al., AAAI 2020): which of 20 places hold a block, and which blocks these are.

The names and defaults of the arguments are those of the configuration in the authors' code (huawei-noah/vega)
that has the window of 315,000 to 325,000 parameters: 90 types of blocks.
"""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.models.esrn import count_parameters, parse_blocks
from sesr_jax.search.space import Gene, Letter, Space, Values


def make_space(
    *,
    node_num: int = 20,
    min_active: int = 16,
    block_type: tuple[str, ...] = ("S", "G", "C"),
    conv_num: tuple[int, ...] = (4, 6, 8),
    growth_rate: tuple[int, ...] = (8, 16, 24, 32),
    type_prob: tuple[float, ...] = (1.0, 1.0, 1.0),
    conv_prob: tuple[float, ...] = (1.0, 1.0, 1.0),
    growth_prob: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
    G0: int = 32,
) -> Space:
    """Returns the space.

    Args:
      node_num: the places of a genome.
      min_active: the least number of places with a block.
      block_type: the kinds of blocks.
      conv_num: the numbers of a block's convolutions.
      growth_rate: their numbers of channels, and those at a block's end, which are no fewer.
      type_prob: the probabilities of the kinds, not normalised.
      conv_prob: those of the numbers of convolutions.
      growth_prob: those of the numbers of channels.
      G0: the channels of the first map.

    Raises:
      InputError: two arguments do not fit together, or there is no such block.
    """
    pairs = (
        ("block_type", block_type, "type_prob", type_prob),
        ("conv_num", conv_num, "conv_prob", conv_prob),
        ("growth_rate", growth_rate, "growth_prob", growth_prob),
    )
    for name, values, chance, chances in pairs:
        if not values or len(values) != len(chances) or not all(p > 0 for p in chances):
            raise InputError(
                f"{name} is {tuple(values)} and {chance} {tuple(chances)}: there must be one or more values, "
                "each with a probability above 0."
            )
    widths = [
        ((growth, features), p)
        for growth, p in zip(growth_rate, growth_prob, strict=True)
        for features in growth_rate
        if features >= growth
    ]
    kinds, counts = zip(block_type, type_prob, strict=True), zip(conv_num, conv_prob, strict=True)
    types = {
        f"{kind}_{count}_{growth}_{features}": p * q * r
        for (kind, p), (count, q), ((growth, features), r) in itertools.product(
            kinds, counts, widths
        )
    }
    for name in types:
        parse_blocks(name)
    gene = Gene(
        letters=(Letter(values=tuple(types), weights=tuple(types.values())),), optional=True
    )
    return Space(
        model="esrn",
        scales=(2, 3, 4),
        genes=(gene,) * node_num,
        min_active=min_active,
        express=_express,
        options={"features": G0},
        count_parameters=_count_parameters,
    )


def _express(values: Values) -> Mapping[str, Any]:
    return {"blocks": " ".join(name for gene in values if gene for name in gene)}


@functools.lru_cache(maxsize=4096)
def _count(blocks: str, scale: int, features: int, channels: int) -> int:
    return count_parameters(parse_blocks(blocks), scale=scale, features=features, channels=channels)


def _count_parameters(options: Mapping[str, Any], scale: int) -> int:
    return _count(options["blocks"], scale, options["features"], options.get("channels", 3))
