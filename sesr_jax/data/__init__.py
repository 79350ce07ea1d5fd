"""Images: files, colour, MATLAB's resizing, and the sources that pictures come from."""

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.images import list_images, output_format, read_image, write_image
from sesr_jax.data.pool import Pool, make_pool, sample
from sesr_jax.data.resize import contributions, imresize, low_resolution, modcrop
from sesr_jax.data.sources import Picture, Pictures, Source, embedded, folder, source, tfds

__all__ = [
    "Picture",
    "Pictures",
    "Pool",
    "Source",
    "contributions",
    "embedded",
    "folder",
    "imresize",
    "list_images",
    "low_resolution",
    "make_pool",
    "modcrop",
    "output_format",
    "read_image",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "sample",
    "source",
    "tfds",
    "write_image",
    "ycbcr_to_rgb",
]
