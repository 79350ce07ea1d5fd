"""Feeds, which give training steps their crops from images on the device or from images in their files.

    read = plan_feed(open_source("embedded:train"), scale=2, channels=1, patch=64, batch=32)
    feed = read()                                   # a `PoolFeed`, or a `StreamFeed` for what is too large
    for data in feed.calls([range(0, 100), range(100, 150)]):    # of 100 steps, and of 50; on the host
        batch = feed.draw(data, key, step)          # one step's crops, inside the compiled step

A feed has two main functions. `Feed.calls` runs on the host and yields the arrays that some steps read.
`Feed.draw` is pure, runs inside the compiled step on each device, and returns that device's share of the
step's batch. A batch depends on the key alone, whatever the number of devices or processes. A compiled step
refers to `draw` alone, which holds no images: jax keeps what a step refers to until the process ends.
"""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import jax
import numpy as np
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.data.colour import to_channels
from sesr_jax.data.degradation import Degradation, degrade
from sesr_jax.data.pool import Pool, make_pool, sample, scale_intensities
from sesr_jax.data.sources import ImageSet
from sesr_jax.data.stream import Stream, make_stream, pool_bytes, unpack
from sesr_jax.errors import InputError

_log = logging.getLogger(__name__)

_LARGEST_POOL = 3 * 2**31
"""In bytes: the largest pool whose pixels an int32 can index."""

MakeLow = Callable[[jax.Array, jax.Array], jax.Array]
"""From a crop's random key and its high resolution ``[s·p, s·p, C]`` to its low resolution ``[p, p, C]``."""

Share = tuple[Any, int]
"""(index, count): one of `count` equal parts of a batch; the index may be traced."""


@struct.dataclass
class Batch:
    """The crops of one step, or a device's share of them; floats in [0, 1].

    Attributes:
      lr: ``[N, p, p, C]``; None where the feed gives high resolutions alone.
      hr: ``[N, s·p, s·p, C]``.
      keys: ``[N]``, one random key per crop, from which a trainer may draw.
    """

    lr: Any
    hr: Any
    keys: Any = None


class Draw(Protocol):
    """A pure function from the data that `Feed.calls` yielded to a batch."""

    def __call__(self, data: Any, key: jax.Array, step: jax.Array, share: Share = (0, 1)) -> Batch:
        """Returns a share of the batch of one step."""
        ...


class Feed(Protocol):
    """A source of crops for training steps.

    Attributes:
      batch: crops per step, over all devices.
      data_axis: the axis of devices in the arrays of `calls`; None where every device reads all of them.
    """

    batch: int
    data_axis: ClassVar[int | None]

    def calls(self, parts: Sequence[range]) -> Iterator[Any]:
        """Yields, as a pytree of arrays, the data of each of `parts`: steps that follow each other."""
        ...

    @property
    def draw(self) -> "Draw":
        """The function that draws a share of the batch of one step; it holds no images."""
        ...

    def sample(self, key: jax.Array, count: int, share: Share = (0, 1)) -> Batch:
        """Returns a share of `count` random crops, which are read at once."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PoolFeed(Feed):
    """Draws crops from images that lie on the device.

    Attributes:
      pool: the images.
      batch: crops per step, over all devices.
      channels: 1 for luma, 3 for RGB.
      intensities: each pair of crops is multiplied by a random one of them.
      make_low: makes low resolutions inside the step, in the place of the pool's.
    """

    pool: Pool
    batch: int
    channels: int = 1
    intensities: Sequence[float] = (1.0,)
    make_low: MakeLow | None = None
    data_axis: ClassVar[None] = None

    @override
    def calls(self, parts: Sequence[range]) -> Iterator[Any]:
        return itertools.repeat(replicate(self.pool), len(parts))

    @property
    @override
    def draw(self) -> Draw:
        return _make_draw(self, _sample_crops)

    @override
    def sample(self, key: jax.Array, count: int, share: Share = (0, 1)) -> Batch:
        crops = sample(self.pool, key, count, share=share)
        return _finish(crops, key, share, **_list_options(self, batch=count, intensities=(1.0,)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StreamFeed(Feed):
    """Reads crops from files, ahead of the steps.

    Attributes:
      stream: the images.
      batch: see `PoolFeed`.
      seed: the seed of the run, since crops are drawn on the host.
      channels: see `PoolFeed`.
      intensities: see `PoolFeed`.
      make_low: see `PoolFeed`.
    """

    stream: Stream
    batch: int
    seed: int
    channels: int = 1
    intensities: Sequence[float] = (1.0,)
    make_low: MakeLow | None = None
    data_axis: ClassVar[int] = 0

    @override
    def calls(self, parts: Sequence[range]) -> Iterator[Any]:
        share = jax.process_index(), jax.process_count()
        return self.stream.calls(seed=self.seed, batch=self.batch, parts=parts, share=share)

    @property
    @override
    def draw(self) -> Draw:
        return _make_draw(self, _unpack_crops)

    @override
    def sample(self, key: jax.Array, count: int, share: Share = (0, 1)) -> Batch:
        crops = self.stream.sample(key, count, share=share)
        return _finish(crops, key, share, **_list_options(self, batch=count, intensities=(1.0,)))


def plan_feed(
    images: ImageSet,
    *,
    scale: int,
    channels: int,
    patch: int,
    batch: int,
    seed: int = 0,
    small: Literal["error", "skip"] = "error",
    intensities: Sequence[float] = (1.0,),
    shards: int = 1,
    device_bytes: int = 4 * 2**30,
    with_lr: bool = True,
    degradation: Degradation | None = None,
    where: str | None = None,
) -> Callable[[], Feed]:
    """Decides from the images' headers where they are kept, and returns a function that makes the feed.

    Images whose pixels take more than `device_bytes` stay in their files.

    Args:
      images: the training set.
      scale: the scale factor.
      channels: 1 for luma, 3 for RGB.
      patch: the side of an LR crop.
      batch: crops per step, over all devices.
      seed: the seed of the run.
      small: what to do about images that are smaller than a crop.
      intensities: see `PoolFeed`.
      shards: the number of shards that the set is dealt out in; with several, each process holds its own.
      device_bytes: the largest pool on the device.
      with_lr: whether steps get low resolutions; if not, they make their own.
      degradation: how the feed itself makes low resolutions of RGB, inside the compiled step; those of the
        images are then not read.
      where: if given, images that are too small are refused at once, and the error names this setting of
        the crop's side.

    Raises:
      InputError: the processes cannot share the shards, or (with `where`) an image is too small, or what is
        to be degraded is not RGB.
    """
    make_low: MakeLow | None = None
    if degradation is not None:
        if channels != 3:
            raise InputError(
                f"config.data.degraded is set for a network of {channels} channel: photos are degraded in "
                "RGB, for a network of 3."
            )
        with_lr, make_low = False, functools.partial(degrade, scale=scale, options=degradation)
    part = (0, 1) if shards == 1 else (jax.process_index(), jax.process_count())
    if shards % part[1]:
        raise InputError(
            f"config.data.shards is {shards}: it must be 1 or a multiple of the {part[1]} processes."
        )
    options: dict[str, Any] = {"scale": scale, "shards": shards, "part": part}
    options |= {"patch": patch, "small": small, "with_lr": with_lr}
    if where is not None:
        make_stream(images, **options, where=where)
    size = pool_bytes(images, scale, shards, part, with_lr=with_lr)
    streamed = size > min(device_bytes, _LARGEST_POOL)
    _log.info(
        "%d images take %.3g MB as pixels: they are %s",
        *(len(images), size / 1e6),
        "read from their files crop by crop" if streamed else "kept on the device",
    )
    shared: dict[str, Any] = {"batch": batch, "channels": channels, "intensities": intensities}
    shared["make_low"] = make_low

    def read() -> Feed:
        if streamed:
            return StreamFeed(stream=make_stream(images, **options), seed=seed, **shared)
        return PoolFeed(pool=make_pool(images, **options), **shared)

    return read


def replicate(tree: Any) -> Any:
    """Copies `tree` to all devices of this process, so that a compiled step need not do so in every call.

    A single device gets it too: jax would compile the step once more for the state that the first call gives
    back, which lies on the devices so.
    """
    here = jax.sharding.Mesh(np.array(jax.local_devices()), ("batch",))
    return jax.device_put(tree, jax.sharding.NamedSharding(here, jax.sharding.PartitionSpec()))


def _make_draw(feed: PoolFeed | StreamFeed, read: Callable[..., Any]) -> Draw:
    """Returns the function that draws batches of `feed`, whose crops are what `read` gives."""
    return functools.partial(_draw, read=read, options=_list_options(feed))


def _list_options(feed: PoolFeed | StreamFeed, **changes: Any) -> dict[str, Any]:
    """Returns the options with which `feed` finishes its crops, with `changes`."""
    names = "batch", "channels", "intensities", "make_low"
    return {name: getattr(feed, name) for name in names} | changes


def _draw(
    data: Any,
    key: jax.Array,
    step: jax.Array,
    share: Share = (0, 1),
    *,
    read: Callable[..., Any],
    options: Mapping[str, Any],
) -> Batch:
    crops = read(data, key, step, share, options["batch"])
    return _finish(crops, key, share, **options)


def _sample_crops(pool: Pool, key: jax.Array, step: jax.Array, share: Share, batch: int) -> Any:
    return sample(pool, key, batch, share=share)


def _unpack_crops(data: Any, key: jax.Array, step: jax.Array, share: Share, batch: int) -> Any:
    return unpack(data, step)


def _finish(
    crops: tuple[Any, jax.Array],
    key: jax.Array,
    share: Share,
    *,
    batch: int,
    channels: int,
    intensities: Sequence[float],
    make_low: MakeLow | None,
) -> Batch:
    """Converts crops of RGB to the network's channels, and gives each a key of its own."""
    lr, hr = scale_intensities(crops, key, batch, intensities, share=share)
    size = batch // share[1]

    def split(number: int) -> jax.Array:
        """The numbers 0 to 2 are for where crops lie, their symmetries and their intensities."""
        keys = jax.random.split(jax.random.fold_in(key, number), batch)
        return lax.dynamic_slice_in_dim(keys, share[0] * size, size)

    if make_low is not None:
        lr = jax.vmap(make_low)(split(4), hr)
    return Batch(
        lr=None if lr is None else to_channels(lr, channels),
        hr=to_channels(hr, channels),
        keys=split(3),
    )
