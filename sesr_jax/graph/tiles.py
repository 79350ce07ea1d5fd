"""How many tiles cover an image, of which each overlaps its neighbours by a halo.

count_tiles(1920, 400, halo=9)      # along one axis
"""

import math

from sesr_jax.errors import InputError


def count_tiles(length: int, size: int, halo: int, align: int = 1) -> int:
    """Returns how many tiles of `size` pixels cover `length` pixels of one axis.

    Raises:
      InputError: as `tile_step`.
    """
    return 1 if size >= length else 1 + math.ceil((length - size) / tile_step(size, halo, align))


def tile_step(size: int, halo: int, align: int = 1) -> int:
    """Returns the distance at which tiles start.

    A tile keeps the output of all its pixels but for those of the halo on its inner sides.

    Args:
      size: of a tile along one axis, in pixels, halo included.
      halo: the pixels on each side that an output pixel may depend on.
      align: the multiple of pixels at which a tile may start.

    Raises:
      InputError: a tile keeps no output.
    """
    step = (size - 2 * halo) // align * align
    if step < 1:
        raise InputError(
            f"A tile of {size} pixels keeps no output, as {halo} pixels on each side are its halo and tiles "
            f"start at multiples of {align}; take one of at least {2 * halo + align} pixels."
        )
    return step
