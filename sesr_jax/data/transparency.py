"""Colours for pixels that nobody sees, so that none of theirs come into sight when the image is resized."""

import numpy as np
from PIL import Image


def spread_colours(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns `colours` with those of wholly transparent pixels replaced by their visible neighbours' mean.

    Programs leave any colour in such pixels, often black, which would make dark rings where networks and
    interpolation mix it with its neighbours.

    The image is halved again and again, by the mean of the visible pixels, until all is visible. Then each
    hidden pixel takes the colour of the smallest halving in which its place is visible.

    Args:
      colours: uint8 or uint16, ``[H, W]`` or ``[H, W, 3]``.
      alpha: ``[H, W]`` of the same dtype.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return colours
    unit = 1 if colours.dtype == np.uint8 else 257
    spread = _fill(Image.fromarray((colours // unit).astype(np.uint8)).convert("RGB"), ~hidden)
    filled = np.asarray(spread if colours.ndim == 3 else spread.getchannel(0))
    result = colours.copy()
    result[hidden] = filled[hidden] * colours.dtype.type(unit)
    return result


def _fill(image: Image.Image, visible: np.ndarray) -> Image.Image:
    """Returns an RGB image with the pixels that are not visible filled in."""
    mask = Image.fromarray(visible)
    if not visible.all():
        image = image.copy()
        image.putalpha(mask.convert("L"))
        half = image.convert("RGBa").reduce(2).convert("RGBA")
        coarse = _fill(half.convert("RGB"), np.asarray(half.getchannel("A")) > 0)
        wide = coarse.resize((2 * half.width, 2 * half.height), Image.Resampling.BILINEAR)
        wide.paste(image.convert("RGB"), mask=mask)
        image = wide.crop((0, 0, image.width, image.height))
    return image
