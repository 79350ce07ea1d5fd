"""A pool: a training set on the device, all images as uint8, which the compiled step crops.

    pool = make_pool(open_source("embedded:train"), scale=2, patch=64)
    lr, hr = sample(pool, key, batch=32)    # float [32, 64, 64, 3], [32, 128, 128, 3] in [0, 1]

The pixels of all images lie end to end, so that no memory goes to padding and a crop is a
gather of rows. Every crop position of every image is equally likely. Grey images are kept as
R = G = B, whose luma is the studio-range luma of the full-range grey. A pool holds at most 2³¹ pixels,
which an int32 can index. `data.layout` explains shards.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from sesr_jax.data.colour import grey_to_rgb
from sesr_jax.data.layout import deal, lay_out
from sesr_jax.data.resize import modcrop
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError


@struct.dataclass
class Pool:
    """Pixels of all images, and where each image lies.

    Attributes:
      lr: ``[pixels, 3]`` uint8; None where the pool holds high resolutions alone.
      hr: ``[pixels · scale², 3]`` uint8.
      starts: ``[images]``, the index of each image's first LR pixel; that of its first HR pixel is scale²
        times it.
      widths: ``[images]``, in LR pixels.
      positions: ``[images]``, the number of crop positions in each image and all before it.
      edges: ``[shards + 1]``, the number of crop positions before each shard held here, and last of all.
      scale: HR pixels per LR pixel, on each side.
      patch: the side of an LR crop.
      shards: the number of shards of the whole set.
    """

    lr: jax.Array | None
    hr: jax.Array
    starts: jax.Array
    widths: jax.Array
    positions: jax.Array
    edges: jax.Array
    scale: int = struct.field(pytree_node=False)
    patch: int = struct.field(pytree_node=False)
    shards: int = struct.field(pytree_node=False)


def make_pool(
    images: Sequence[ImagePair],
    *,
    scale: int,
    patch: int,
    small: Literal["error", "skip"] = "error",
    shards: int = 1,
    part: tuple[int, int] = (0, 1),
    with_lr: bool = True,
) -> Pool:
    """Puts `images` on the device.

    Args:
      images: the training set; an image without a low resolution gets the bicubic one.
      scale: the scale factor.
      patch: the side of an LR crop, in pixels.
      small: what to do about images that are smaller than a crop.
      shards: the number of shards that the set is dealt out in.
      part: (index, count): the pool holds this one of `count` equal parts of the shards; other images are
        not read.
      with_lr: whether low resolutions are kept; if not, `sample` returns None in their place.

    Raises:
      InputError: an image is smaller than the crop (and `small` is "error"), a shard has none, or there
        are too many pixels to index.
    """
    layout = lay_out(
        deal(images, shards, part),
        lambda image: (image.name, image.hr.shape[:2]),
        scale=scale,
        patch=patch,
        small=small,
    )
    ends = np.cumsum(layout.sizes.prod(axis=1))
    if (pixels := int(ends[-1]) * scale**2) >= 2**31:
        raise InputError(f"the images have {pixels} pixels: a pool holds fewer than 2³¹.")
    starts = ends - layout.sizes.prod(axis=1)
    hr = np.empty((int(ends[-1]) * scale**2, 3), np.uint8)
    lr = np.empty((int(ends[-1]), 3), np.uint8) if with_lr else None
    for image, start, end in zip(layout.images, starts, ends, strict=True):
        if lr is not None:
            lr[start:end] = grey_to_rgb(image.get_low_resolution(scale)).reshape(-1, 3)
        cropped = grey_to_rgb(modcrop(image.hr, scale))
        hr[start * scale**2 : end * scale**2] = cropped.reshape(-1, 3)
    return Pool(
        lr=None if lr is None else jnp.asarray(lr),
        hr=jnp.asarray(hr),
        starts=jnp.asarray(starts, jnp.int32),
        widths=jnp.asarray(layout.sizes[:, 1], jnp.int32),
        positions=jnp.asarray(layout.positions, jnp.int32),
        edges=jnp.asarray(layout.edges, jnp.int32),
        scale=scale,
        patch=patch,
        shards=shards,
    )


def sample(
    pool: Pool, key: jax.Array, batch: int, *, share: tuple[Any, int] = (0, 1)
) -> tuple[Any, jax.Array]:
    """Returns random crops with random flips and quarter turns.

    Args:
      pool: the training set.
      key: the random key; it decides the whole batch, whatever the number of devices.
      batch: the number of crops over all devices.
      share: (index, count): returns this one of `count` equal parts of the batch, from shards in `pool`.

    Returns:
      LR ``[batch / count, p, p, 3]`` (None where the pool has none) and HR ``[batch / count, s·p, s·p, 3]``,
      float32 in [0, 1].
    """
    index, count = share
    return _sample(pool, key, index, batch=batch, count=count)


@functools.partial(jax.jit, static_argnames=("batch", "count"), inline=True)
def _sample(
    pool: Pool, key: jax.Array, index: Any, *, batch: int, count: int
) -> tuple[Any, jax.Array]:
    """See `sample`; compiled as one program where it is not part of another."""
    ranks, turns = draw(key, batch, pool.edges, pool.shards)
    size = batch // count
    ranks, turns = (lax.dynamic_slice_in_dim(x, index * size, size) for x in (ranks, turns))
    lr, hr = jax.vmap(_crop, in_axes=(None, 0))(pool, ranks)
    return apply_symmetries(lr, turns), apply_symmetries(hr, turns)


def draw(key: jax.Array, batch: int, edges: jax.Array, shards: int) -> tuple[jax.Array, jax.Array]:
    """Returns the positions (counted over all images held here) and the symmetries of a batch's crops."""
    where, symmetry = jax.random.split(key)
    # The shard among those held here that a crop comes from; for crops of other processes it has no meaning.
    shard = jnp.arange(batch) * shards // batch % (len(edges) - 1)
    ranks = jax.random.randint(where, (batch,), edges[shard], edges[shard + 1])
    return ranks, jax.random.randint(symmetry, (batch,), 0, 8)


def scale_intensities(
    crops: tuple[Any, jax.Array],
    key: jax.Array,
    batch: int,
    intensities: Sequence[float],
    *,
    share: tuple[Any, int] = (0, 1),
) -> tuple[Any, jax.Array]:
    """Multiplies each pair of crops by a random one of `intensities`; `sample` explains other arguments."""
    if tuple(intensities) == (1.0,):
        return crops
    # This key differs from the two that `draw` derives from `key`.
    factors = jax.random.choice(jax.random.fold_in(key, 2), jnp.asarray(intensities), (batch,))
    size = batch // share[1]
    mine = lax.dynamic_slice_in_dim(factors, share[0] * size, size)[:, None, None, None]
    return jax.tree.map(lambda images: images * mine, crops)


def apply_symmetries(crops: Any, turns: jax.Array) -> Any:
    """Applies a symmetry, from 0 to 7, to each of the crops uint8 ``[N, p, p, C]``; float32 in [0, 1]."""
    if crops is None:
        return None
    return jax.vmap(_turn)(crops, turns).astype(jnp.float32) / 255


def _crop(pool: Pool, rank: jax.Array) -> tuple[Any, jax.Array]:
    """Returns the crop at position `rank`, counted row by row over all images."""
    index = jnp.searchsorted(pool.positions, rank, side="right")
    rank = rank - jnp.where(index > 0, pool.positions[index - 1], 0)
    width = pool.widths[index]
    y, x = jnp.divmod(rank, width - pool.patch + 1)

    def gather_rows(pixels: jax.Array, scale: int) -> jax.Array:
        corner = pool.starts[index] * scale**2 + y * width * scale**2 + x * scale
        starts = corner + jnp.arange(pool.patch * scale) * width * scale
        return jax.vmap(lambda s: lax.dynamic_slice(pixels, (s, 0), (pool.patch * scale, 3)))(
            starts
        )

    lr = None if pool.lr is None else gather_rows(pool.lr, 1)
    return lr, gather_rows(pool.hr, pool.scale)


def _turn(image: jax.Array, symmetry: jax.Array) -> jax.Array:
    """Applies one of the eight symmetries of the square to ``[p, p, C]``."""
    image = jnp.where(symmetry & 1, image[::-1], image)
    image = jnp.where(symmetry & 2, image[:, ::-1], image)
    return jnp.where(symmetry & 4, image.swapaxes(0, 1), image)
