"""Images: files, colour, MATLAB's resizing, and the sources that pictures come from."""

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.images import (
    Photo,
    check_output,
    image_size,
    list_images,
    read_image,
    read_photo,
    write_image,
)
from sesr_jax.data.pool import Pool, make_pool, sample
from sesr_jax.data.resize import contributions, imresize, low_resolution, modcrop
from sesr_jax.data.sources import Picture, Pictures, Source, embedded, folder, source, tfds

__all__ = [
    "Photo",
    "Picture",
    "Pictures",
    "Pool",
    "Source",
    "check_output",
    "contributions",
    "embedded",
    "folder",
    "image_size",
    "imresize",
    "list_images",
    "low_resolution",
    "make_pool",
    "modcrop",
    "read_image",
    "read_photo",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "sample",
    "source",
    "tfds",
    "write_image",
    "ycbcr_to_rgb",
]
