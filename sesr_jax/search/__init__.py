"""A search for networks by evolution, after ESR-EA (Song et al., AAAI 2020).

    config = base_search()
    found = search(config, "runs/search")
    print(found.to_text())

A space (`search.space`, `search.spaces`) says what a genome is, how it varies and which network it makes.
`search.evolution` makes generations, `search.measures` says what a network costs and whether a target runs
it, `search.candidate` trains one for a short time, and `search.workers` says where: in this process, in
others of this machine, or on a Ray cluster.
"""

from sesr_jax.search.config import base_search
from sesr_jax.search.found import Found
from sesr_jax.search.page import PAGE
from sesr_jax.search.run import search
from sesr_jax.search.space import Design, Gene, Genome, Letter, Space
from sesr_jax.search.spaces import SPACES, find_space, register_space

__all__ = [
    "PAGE",
    "SPACES",
    "Design",
    "Found",
    "Gene",
    "Genome",
    "Letter",
    "Space",
    "base_search",
    "find_space",
    "register_space",
    "search",
]
