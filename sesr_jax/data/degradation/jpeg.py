"""JPEG as a function of pixels: what libjpeg's decoder gives of its encoder's file, without the file.

It has libjpeg's tables, integers and rounding ("islow", its default), 4:2:0 chroma, and its decoder's smooth
("fancy") upsampling, so that codes are the same, one by one. Baseline JPEG is described in ITU-T T.81, and
the cosine transform in Loeffler, Ligtenberg and Moschytz, ICASSP 1989.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.data.degradation.framed import Framed, extend

_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""The tables of quality 50 (T.81, Annex K)."""


def compress(image: Framed, quality: jax.Array | float) -> Framed:
    """Returns an image, RGB in [0, 1], as it is after JPEG at `quality` (1 to 100)."""
    height, width = (-(-side // 16) * 16 for side in image.pixels.shape[:2])
    codes = jnp.round(255 * jnp.clip(extend(image, height, width), 0, 1)).astype(jnp.int32)
    y, *chroma = _to_ycc(codes)
    scale = jnp.floor(jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality))
    y = _code(y, _make_table(_LUMA, scale))
    rows = (image.height + 1) // 2
    columns = (image.width + 1) // 2
    chroma = [
        _upsample(_code(_halve(plane, rows), _make_table(_CHROMA, scale)), rows, columns)
        for plane in chroma
    ]
    pixels = _to_rgb(y, *chroma) / jnp.float32(255)
    shape = image.pixels.shape
    return image.replace(pixels=pixels[: shape[0], : shape[1]])  # type: ignore[attr-defined]


def _make_table(table: np.ndarray, scale: jax.Array) -> jax.Array:
    return jnp.clip(jnp.floor((table * scale + 50) / 100), 1, 255).astype(jnp.int32)


def _fix(*factors: float, bits: int = 16) -> list[int]:
    """Returns numbers in units of 2^-bits."""
    return [round(factor * 2**bits) for factor in factors]


def _descale(x: jax.Array, bits: int) -> jax.Array:
    """Divides by 2^bits and rounds, halves up."""
    return (x + (1 << (bits - 1))) >> bits


def _to_ycc(rgb: jax.Array) -> list[jax.Array]:
    r, g, b = jnp.moveaxis(rgb, -1, 0)
    half, offset = 1 << 15, (128 << 16) + (1 << 15) - 1
    y = [f * x for f, x in zip(_fix(0.299, 0.587, 0.114), (r, g, b), strict=True)]
    cb = [f * x for f, x in zip(_fix(-0.168735892, -0.331264108, 0.5), (r, g, b), strict=True)]
    cr = [f * x for f, x in zip(_fix(0.5, -0.418687589, -0.081312411), (r, g, b), strict=True)]
    return [(sum(y) + half) >> 16, (sum(cb) + offset) >> 16, (sum(cr) + offset) >> 16]


def _to_rgb(y: jax.Array, cb: jax.Array, cr: jax.Array) -> jax.Array:
    cb, cr = cb - 128, cr - 128
    red, blue, green_b, green_r = _fix(1.402, 1.772, -0.344136286, -0.714136286)
    r, b = y + _descale(red * cr, 16), y + _descale(blue * cb, 16)
    g = y + _descale(green_b * cb + green_r * cr, 16)
    return jnp.clip(jnp.stack([r, g, b], -1), 0, 255)


_BITS, _MORE = 13, 2
"""The bits behind the point of the factors, and those that the first of two passes keeps."""

_EVEN = _fix(0.541196100, 0.765366865, -1.847759065, bits=_BITS)
_ODD = _fix(0.298631336, 2.053119869, 3.072711026, 1.501321110, bits=_BITS)
_MIXED = _fix(-0.899976223, -2.562915447, -1.961570560, -0.390180644, bits=_BITS)
(_TURN,) = _fix(1.175875602, bits=_BITS)


def _turn(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the rotations of the odd half, which both directions of the transform share."""
    a, b, c, d = parts
    z = [f * x for f, x in zip(_MIXED, (a + d, b + c, a + c, b + d), strict=True)]
    z5 = _TURN * (a + c + b + d)
    z = [z[0], z[1], z[2] + z5, z[3] + z5]
    a, b, c, d = (f * x for f, x in zip(_ODD, parts, strict=True))
    return [a + z[0] + z[2], b + z[1] + z[3], c + z[1] + z[2], d + z[0] + z[3]]


def _make_forward() -> np.ndarray:
    """Returns the matrix of one pass, ``[frequency, place]``, in units of 2^-13."""
    x = np.eye(8, dtype=np.int32)
    sums = [x[i] + x[7 - i] for i in range(4)]
    odd = _turn([x[3] - x[4], x[2] - x[5], x[1] - x[6], x[0] - x[7]])
    up, down = sums[0] + sums[3], sums[1] + sums[2]
    high, low = sums[0] - sums[3], sums[1] - sums[2]
    z = _EVEN[0] * (low + high)
    even = [(up + down) << _BITS, z + _EVEN[1] * high, (up - down) << _BITS, z + _EVEN[2] * low]
    return np.stack([part for pair in zip(even, odd[::-1], strict=True) for part in pair])


def _make_backward() -> np.ndarray:
    """Returns the matrix of one pass back, ``[place, frequency]``, in units of 2^-13."""
    x = np.eye(8, dtype=np.int32)
    z = _EVEN[0] * (x[2] + x[6])
    low, high = z + _EVEN[2] * x[6], z + _EVEN[1] * x[2]
    up, down = (x[0] + x[4]) << _BITS, (x[0] - x[4]) << _BITS
    even = [up + high, down + low, down - low, up - high]
    odd = _turn([x[7], x[5], x[3], x[1]])[::-1]
    out = [a + b for a, b in zip(even, odd, strict=True)]
    return np.stack(out + [a - b for a, b in zip(even, odd, strict=True)][::-1])


_FORWARD, _BACKWARD = _make_forward(), _make_backward()


def _code(plane: jax.Array, table: jax.Array) -> jax.Array:
    """Transforms blocks of 8×8, rounds the coefficients to multiples of the table, and transforms back.

    The transform forward is 8 times the cosine transform; the one back divides by these 8.
    """
    height, width = plane.shape
    blocks = (plane - 128).reshape(height // 8, 8, width // 8, 8)
    found = _descale(jnp.einsum("kx,hywx->hywk", _FORWARD, blocks), _BITS - _MORE)
    found = _descale(jnp.einsum("ky,hywl->hkwl", _FORWARD, found), _BITS + _MORE)
    steps = table[None, :, None, :]
    rounded = jnp.sign(found) * ((jnp.abs(found) + 4 * steps) // (8 * steps)) * steps
    back = _descale(jnp.einsum("yk,hkwl->hywl", _BACKWARD, rounded), _BITS - _MORE)
    back = _descale(jnp.einsum("xl,hywl->hywx", _BACKWARD, back), _BITS + _MORE + 3)
    return jnp.clip(back + 128, 0, 255).reshape(height, width)


def _halve(plane: jax.Array, rows: jax.Array) -> jax.Array:
    """Averages 2×2 pixels; what lies between two codes is rounded down and up by turns, as libjpeg does."""
    height, width = plane.shape
    sums = plane.reshape(height // 2, 2, width // 2, 2).sum((1, 3))
    halved = (sums + 1 + jnp.arange(width // 2) % 2) >> 2
    return halved[jnp.clip(jnp.arange(height // 2), 0, rows - 1)]


def _upsample(plane: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Doubles both sides; a pixel is 3/4 of the nearest and 1/4 of the next one along each axis."""
    height, width = plane.shape

    def move(index: jax.Array, by: int, count: jax.Array) -> jax.Array:
        return jnp.clip(index + by, 0, count - 1)

    down, right = jnp.arange(height), jnp.arange(width)
    for_rows = [3 * plane + plane[move(down, by, rows)] for by in (-1, 1)]
    tall = jnp.stack(for_rows, 1).reshape(2 * height, width)
    left, after = (3 * tall + tall[:, move(right, by, columns)] for by in (-1, 1))
    wide = jnp.stack([(left + 8) >> 4, (after + 7) >> 4], 2)
    return wide.reshape(2 * height, 2 * width)
