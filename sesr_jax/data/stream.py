"""A stream: a training set that stays in its files, whose crops the host reads ahead of the steps.

    stream = make_stream(open_source("DIV2K"), scale=2, patch=64)
    for crops in stream.calls(seed=0, batch=32, parts=[range(0, 100), range(100, 200)]):
        ...                             # uint8; `unpack` turns and scales them on the device

The crops equal those that `pool.sample` draws from the same images, pixel for pixel, whatever the number of
processes. The crops of any step can be read without those before it. Grain reads ahead in threads. Each crop
reads its whole image, so that PNGs of two megapixels need ten or more cores for a fast device. Only the part
of an image around a crop is reduced to a low resolution.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from sesr_jax.data import resize
from sesr_jax.data.colour import grey_to_rgb
from sesr_jax.data.layout import deal, lay_out
from sesr_jax.data.pool import apply_symmetries, draw
from sesr_jax.data.sources import ImageSet
from sesr_jax.errors import require_extra

_THREADS = 16

_MARGIN = 4
"""In LR pixels: the reach of the cubic kernel around a crop, and one more."""


@struct.dataclass
class Crops:
    """The crops of several steps for each device of this process, as uint8.

    Attributes:
      lr: ``[devices, steps, N, p, p, 3]``.
      hr: ``[devices, steps, N, s·p, s·p, 3]``.
      turns: ``[devices, steps, N]``, the symmetry of each crop.
      first: ``[devices]``, the first of the steps.
    """

    lr: Any
    hr: Any
    turns: Any
    first: Any


def unpack(crops: Crops, step: jax.Array) -> tuple[Any, jax.Array]:
    """Returns LR and HR of one step, on one of the devices, in the form of `pool.sample`."""
    parts = crops.lr, crops.hr, crops.turns
    lr, hr, turns = jax.tree.map(lambda x: x[step - crops.first], parts)
    return apply_symmetries(lr, turns), apply_symmetries(hr, turns)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Stream:
    """Images in their files, and where their crops can lie.

    Attributes:
      images: the training set.
      indices: the indices of the images that are cropped, shard by shard.
      widths: the width of each of them, in LR pixels.
      positions: the number of crop positions in each of them and all before it.
      edges: see `Pool.edges`.
      scale: HR pixels per LR pixel, on each side.
      patch: the side of an LR crop.
      shards: the number of shards of the whole set.
      with_lr: whether low resolutions are read.
    """

    images: ImageSet
    indices: np.ndarray
    widths: np.ndarray
    positions: np.ndarray
    edges: np.ndarray
    scale: int
    patch: int
    shards: int
    with_lr: bool = True

    def draw(self, key: jax.Array, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws as `pool.draw` does, without waiting for the device."""
        with _use_host():
            if self.positions[-1] < 2**31:
                edges = jnp.asarray(self.edges, jnp.int32)
                ranks, turns = draw(key, batch, edges, self.shards)
                return np.asarray(ranks), np.asarray(turns)
            # A pool cannot hold so many pixels, so that the crops need not equal those of a pool.
            words = np.asarray(jax.random.bits(key, (batch, 3), np.uint32)).astype(np.uint64)
        shard = np.arange(batch) * self.shards // batch % (len(self.edges) - 1)
        spans = (self.edges[shard + 1] - self.edges[shard]).astype(np.uint64)
        ranks = ((words[:, 0] << np.uint64(32)) + words[:, 1]) % spans
        return ranks.astype(np.int64) + self.edges[shard], (words[:, 2] % 8).astype(np.int32)

    def read_crop(self, rank: int) -> tuple[np.ndarray | None, np.ndarray]:
        """Reads the LR crop (None without `with_lr`) and the HR crop at position `rank`, uint8."""
        index = int(np.searchsorted(self.positions, rank, side="right"))
        rank = int(rank) - (int(self.positions[index - 1]) if index else 0)
        y, x = divmod(rank, int(self.widths[index]) - self.patch + 1)
        image, s, p = self.images[int(self.indices[index])], self.scale, self.patch
        hr = grey_to_rgb(resize.modcrop(image.hr, s))
        crop = hr[s * y : s * (y + p), s * x : s * (x + p)]
        if not self.with_lr:
            return None, crop
        if image.lr is not None:
            return grey_to_rgb(image.get_low_resolution(s))[y : y + p, x : x + p], crop
        top, left = max(y - _MARGIN, 0), max(x - _MARGIN, 0)
        part = hr[s * top : s * (y + p + _MARGIN), s * left : s * (x + p + _MARGIN)]
        low = resize.make_low_resolution(part, s)
        return low[y - top : y - top + p, x - left : x - left + p], crop

    def sample(
        self, key: jax.Array, batch: int, *, share: tuple[int, int] = (0, 1)
    ) -> tuple[Any, jax.Array]:
        """Draws crops as `pool.sample` does, and reads their images at once."""
        size = batch // share[1]
        ranks, turns = (x[share[0] * size :][:size] for x in self.draw(key, batch))
        lr, hr = zip(*map(self.read_crop, ranks), strict=True)
        stacked = np.stack(lr) if self.with_lr else None, np.stack(hr)
        lr, hr = jax.tree.map(lambda x: apply_symmetries(x, jnp.asarray(turns)), stacked)
        return lr, hr

    def calls(
        self, *, seed: int, batch: int, parts: Sequence[range], share: tuple[int, int] = (0, 1)
    ) -> Iterator[Crops]:
        """Yields the crops of each of `parts`.

        Args:
          seed: the seed of the run.
          batch: crops per step, over all processes.
          parts: the steps that run together, each part going on where the one before ends.
          share: (index, count): yields this one of `count` equal shares of every batch.

        Raises:
          InputError: Grain is not installed, or an image cannot be read.
        """
        with require_extra(
            "grain", "training on images that take more than config.data.device_bytes"
        ):
            import grain
        size, devices = batch // share[1], jax.local_device_count()
        first, last = parts[0].start, parts[-1].stop
        reader: Any = _Reader(self, seed, batch, size, share[0] * size, last)
        ahead = max(map(len, parts)) * size
        read = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=ahead)
        crops = grain.MapDataset.source(reader)[first * size : last * size]
        batches = iter(crops.to_iter_dataset(read).batch(size))
        for part in parts:
            group = [next(batches) for _ in part]
            stacked = {
                key: np.stack([x[key].reshape(devices, -1, *x[key].shape[1:]) for x in group], 1)
                for key in group[0]
            }
            yield Crops(first=np.full(devices, part.start, np.int32), **{"lr": None, **stacked})


def make_stream(
    images: ImageSet,
    *,
    scale: int,
    patch: int,
    small: Literal["error", "skip"] = "error",
    shards: int = 1,
    part: tuple[int, int] = (0, 1),
    with_lr: bool = True,
    where: str = "config.data.patch",
) -> Stream:
    """Finds from the images' headers where crops can lie; `make_pool` and `lay_out` explain the arguments."""
    layout = lay_out(
        deal(range(len(images)), shards, part),
        lambda index: (images.get_name(index), images.read_size(index)),
        scale=scale,
        patch=patch,
        small=small,
        where=where,
    )
    return Stream(
        images=images,
        indices=np.array(layout.images),
        widths=layout.sizes[:, 1],
        positions=layout.positions,
        edges=layout.edges,
        scale=scale,
        patch=patch,
        shards=shards,
        with_lr=with_lr,
    )


def pool_bytes(
    images: ImageSet, scale: int, shards: int, part: tuple[int, int], *, with_lr: bool = True
) -> int:
    """Returns the size in bytes of a pool of one part of the images, from their headers."""
    indices = [index for shard in deal(range(len(images)), shards, part) for index in shard]
    lr = sum((n // scale) * (m // scale) for n, m in map(images.read_size, indices))
    return 3 * lr * (with_lr + scale**2)


class _Reader:
    """The crops of a run in their order, which are read when they are indexed: a source for Grain."""

    def __init__(
        self, stream: Stream, seed: int, batch: int, size: int, offset: int, steps: int
    ) -> None:
        self._stream, self._seed, self._batch = stream, np.uint32(seed), batch
        self._size, self._offset, self._steps = size, offset, steps
        self._draw_cached = functools.lru_cache(maxsize=64)(self._draw)

    def __len__(self) -> int:
        return self._steps * self._size

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        step, place = divmod(index, self._size)
        ranks, turns = self._draw_cached(step)
        lr, hr = self._stream.read_crop(ranks[self._offset + place])
        pair = {"hr": hr} if lr is None else {"lr": lr, "hr": hr}
        return {**pair, "turns": turns[self._offset + place]}

    def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        with _use_host():
            key = jax.random.fold_in(jax.random.key(self._seed), step)
        return self._stream.draw(key, self._batch)


def _use_host() -> contextlib.AbstractContextManager[Any]:
    """Returns a context that computes on the CPU, since an accelerator would first finish its queue."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        return contextlib.nullcontext()
