"""Images: files, colour, MATLAB's resizing, sources of images, and feeds that give them to training."""

from sesr_jax.data.animations import (
    Animation,
    check_animation_output,
    count_animation_frames,
    read_animation,
    write_animation,
)
from sesr_jax.data.canvas import Canvas
from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.feed import Batch, Feed, PoolFeed, StreamFeed, plan_feed
from sesr_jax.data.image_files import list_images, read_image_size, search_folder
from sesr_jax.data.images import read_image
from sesr_jax.data.photos import (
    Photo,
    check_output,
    read_photo,
    to_8_bits,
    write_canvas,
    write_image,
    write_photo,
)
from sesr_jax.data.pool import Pool, make_pool, sample
from sesr_jax.data.resize import (
    contributions,
    enlarge,
    imresize,
    make_low_resolution,
    modcrop,
)
from sesr_jax.data.sources import (
    ImagePair,
    ImageSet,
    Source,
    open_embedded,
    open_folder,
    open_source,
    open_tfds,
)
from sesr_jax.data.transparency import spread_colours

__all__ = [
    "Animation",
    "Batch",
    "Canvas",
    "Feed",
    "ImagePair",
    "ImageSet",
    "Photo",
    "Pool",
    "PoolFeed",
    "Source",
    "StreamFeed",
    "check_animation_output",
    "check_output",
    "contributions",
    "count_animation_frames",
    "enlarge",
    "imresize",
    "list_images",
    "make_low_resolution",
    "make_pool",
    "modcrop",
    "open_embedded",
    "open_folder",
    "open_source",
    "open_tfds",
    "plan_feed",
    "read_animation",
    "read_image",
    "read_image_size",
    "read_photo",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "sample",
    "search_folder",
    "spread_colours",
    "to_8_bits",
    "write_animation",
    "write_canvas",
    "write_image",
    "write_photo",
    "ycbcr_to_rgb",
]
