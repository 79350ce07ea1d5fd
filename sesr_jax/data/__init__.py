"""Images: files, colour, MATLAB's resizing, and the sources that pictures come from."""

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.images import list_images, read_image, write_image
from sesr_jax.data.resize import contributions, imresize, low_resolution, modcrop
from sesr_jax.data.sources import Picture, Source, embedded, folder, source

__all__ = [
    "Picture",
    "Source",
    "contributions",
    "embedded",
    "folder",
    "imresize",
    "list_images",
    "low_resolution",
    "modcrop",
    "read_image",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "source",
    "write_image",
    "ycbcr_to_rgb",
]
