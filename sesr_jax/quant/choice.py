"""Ranges by an observer for all tensors, or by the observer that suits each tensor.

    ranges = find_ranges(graph, images, observer=CHOSEN)

One observer rarely suits a whole network: a tensor of outliers that do not matter wants its range cut, where
another's outliers are what becomes an image's edges. Which one suits, the network's output tells.
"""

from collections.abc import Collection, Iterable, Sequence

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sesr_jax import graph as graphs
from sesr_jax.errors import look_up
from sesr_jax.graph import Graph, measure_extent
from sesr_jax.quant.calibrate import calibrate
from sesr_jax.quant.observers import OBSERVERS
from sesr_jax.quant.ranges import Range, Ranges
from sesr_jax.quant.scheme import INT8, Scheme
from sesr_jax.quant.sensitivity import list_parts, make_probe

CHOSEN = "chosen"
"""Stands in an observer's place where each tensor has the one that suits it."""

_SIDE = 48


def find_ranges(
    graph: Graph,
    images: Iterable[npt.ArrayLike],
    scheme: Scheme = INT8,
    observer: str = "min_max",
) -> dict[str, Range]:
    """Measures the range of every group of tensors, as `calibrate`.

    Args:
      graph: the network; its input size does not matter.
      images: float ``[N, H, W, C]`` in [0, 1], of any sizes.
      scheme: what is quantised.
      observer: a key of `OBSERVERS`, or `CHOSEN`, for which see `choose_ranges`.

    Raises:
      InputError: there is no such observer, or as `calibrate`.
    """
    look_up("observer", observer, {**OBSERVERS, CHOSEN: None})
    if observer != CHOSEN:
        return calibrate(graph, images, scheme, observer)
    photos = [np.asarray(image, np.float32) for image in images]
    candidates = [calibrate(graph, photos, scheme, name) for name in OBSERVERS]
    return choose_ranges(graph, candidates, photos, scheme)


def choose_ranges(
    graph: Graph,
    candidates: Collection[Ranges],
    images: Sequence[npt.ArrayLike],
    scheme: Scheme = INT8,
) -> dict[str, Range]:
    """Returns for each group of tensors that range whose codes, alone, change the output least.

    Changes are measured on the centres of the images, of 48×48 or less.

    Args:
      graph: the network; its input size does not matter.
      candidates: ranges of all groups, as several observers find them.
      images: float ``[N, H, W, C]`` in [0, 1], of any sizes that the network takes.
      scheme: what is quantised.

    Raises:
      InputError: the ranges do not suit the graph.
    """
    x = jnp.asarray(_cut_centres(images, measure_extent(graph).align))
    probe = make_probe(graph, x, jnp.clip(graphs.run(graph, x), 0, 1), scheme)
    found = dict(next(iter(candidates)))
    for part in list_parts(graph, scheme):
        if part.kind != "codes":
            continue
        tried = {ranges[part.name] for ranges in candidates}
        found[part.name] = min(
            sorted(tried), key=lambda limits: probe({**found, part.name: limits}, [part])
        )
    return found


def _cut_centres(images: Sequence[npt.ArrayLike], align: int) -> np.ndarray:
    """Returns the centres of all images, ``[N, h, w, C]``, whose sides are multiples of `align`."""
    photos = [np.asarray(image, np.float32) for image in images]
    sides = [min([max(_SIDE, align), *(photo.shape[axis] for photo in photos)]) for axis in (1, 2)]
    height, width = (side - side % align for side in sides)

    def cut(photo: np.ndarray) -> np.ndarray:
        top, left = (photo.shape[1] - height) // 2, (photo.shape[2] - width) // 2
        return photo[:, top : top + height, left : left + width]

    return np.concatenate([cut(photo) for photo in photos])
