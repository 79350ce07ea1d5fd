"""Finds where the crops of a training set lie: which images are large enough, and at how many positions.

    layout = lay_out(deal(images, 1, (0, 1)), measure, scale=2, patch=64)
    layout.positions[-1]                # the number of all crop positions

A set can be dealt out in n shards, for machines that each hold a part of it: image i belongs to shard
i mod n, and each shard gives an n-th of every batch. The batch does not depend on who holds which shards.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from sesr_jax.errors import InputError

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout(Generic[T]):
    """The images that are cropped, shard by shard, and their positions, counted row by row.

    Attributes:
      images: the images that are cropped, in the form that `lay_out` was given.
      sizes: ``[images, 2]``, height and width in LR pixels.
      positions: ``[images]``, the number of crop positions in each image and all before it.
      edges: ``[shards + 1]``, the number of crop positions before each shard, and last of all shards.
    """

    images: list[T]
    sizes: np.ndarray
    positions: np.ndarray
    edges: np.ndarray


def deal(images: Sequence[Any], shards: int, part: tuple[int, int]) -> list[Sequence[Any]]:
    """Deals `images` out in shards, and returns the shards of one part, (index, count), of them.

    Shard i has every `shards`-th image from i on.
    """
    index, count = part
    own = shards // count
    return [images[shard::shards] for shard in range(index * own, (index + 1) * own)]


def lay_out(
    shards: Sequence[Iterable[T]],
    measure: Callable[[T], tuple[str, Sequence[int]]],
    *,
    scale: int,
    patch: int,
    small: Literal["error", "skip"] = "error",
    where: str = "config.data.patch",
) -> Layout[T]:
    """Measures every image once, and returns where its crops lie.

    Args:
      shards: the images of each shard, as `deal` returns them.
      measure: returns an image's name, and its height and width in HR pixels.
      scale: HR pixels per LR pixel, on each side.
      patch: the side of an LR crop.
      small: what to do about images that are smaller than a crop.
      where: the setting of the crop's side, which errors name.

    Raises:
      InputError: an image is smaller than a crop (and `small` is "error"), or a shard has no larger one.
    """
    crop = patch * scale
    images: list[T] = []
    sizes: list[tuple[int, int]] = []
    skipped: list[str] = []
    ends = [0]
    for shard in shards:
        for image in shard:
            name, (height, width) = measure(image)
            if min(height, width) < crop:
                if small == "error":
                    raise InputError(_explain_too_small(name, (height, width), crop, where))
                skipped.append(name)
                continue
            images.append(image)
            sizes.append((height // scale, width // scale))
        if len(images) == ends[-1]:
            each = f"each of the {len(shards)} shards needs one"
            raise InputError(
                f"no image of {len(skipped)} is as large as the crop of {crop} pixels: "
                f"{each if len(shards) > 1 else 'there must be one'}; {where} sets the crop's side, and "
                "config.data.shards the number of shards."
            )
        ends.append(len(images))
    if skipped:
        _log.info("left out %d images smaller than a crop, such as %s", len(skipped), skipped[0])
    found = np.array(sizes, np.int64)
    positions = np.cumsum((found - patch + 1).prod(axis=1))
    edges = np.concatenate([[0], positions])[ends]
    return Layout(images=images, sizes=found, positions=positions, edges=edges)


def _explain_too_small(name: str, size: Sequence[int], crop: int, where: str) -> str:
    """Returns the error about an image of `size` (height, width) that is smaller than `crop` pixels."""
    return (
        f"{name} is {size[1]}×{size[0]}, smaller than the crop of {crop} pixels: {where} must be smaller, or "
        'config.data.small = "skip" leaves such images out.'
    )
