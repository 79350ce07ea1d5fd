"""Convolution with stride 1 and its gradients, in the forms that XLA's CPU compiler runs fast.

XLA's CPU backend multiplies matrices whose columns are the output channels, 16 to a vector register, and
gathers a patch of the input for every row. Few channels leave most of that idle:

- **Neighbours are packed.** `r` pixels of a row are computed as `r` times the channels of one, by a kernel
  that is `r - 1` taps wider and has a zero where a pixel does not see a tap. The result needs no copy.
- **The kernel's gradient is one product of matrices**, of shifted rows with shifted columns, where the
  compiler would transpose both images.
- **All of it is in the order that the compiler wants** (NHWC, HWIO). It puts other orders right, but not
  inside loops, where they run 40 times slower.

The values are those of `lax.conv_general_dilated` but for the order of sums.

    y = convolve(x, kernel)

Limits: reverse-mode derivatives only, of any order.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

_LANES = 16
"""float32 in a vector register (AVX-512); shorter registers are used in pairs."""

_PACKS = (1, 2, 4, 8)

_PIXELS = 4 * 64 * 64
"""Handled at once: a map of 16 channels is then 1 MiB."""


def applies(
    x: jax.Array | jax.ShapeDtypeStruct,
    *,
    strides: tuple[int, int],
    padding: object,
    groups: int,
) -> bool:
    """Whether `convolve` computes such a convolution, and is faster here than the compiler."""
    plain = strides == (1, 1) and padding == "SAME" and groups == 1
    return plain and x.dtype == jnp.float32 and jax.default_backend() == "cpu"


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Cross-correlation of ``[N, H, W, in]`` with ``[kh, kw, in, out]``, stride 1, padding "SAME".

    Where no gradient is asked for, it is the compiler's convolution to the last bit.
    """
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    # Padded once, for the convolution and for the kernel's gradient.
    kh, kw = kernel.shape[:2]
    sides = (((kh - 1) // 2, kh // 2), ((kw - 1) // 2, kw // 2))
    padded = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    return _packed(padded, kernel, ((0, 0), (0, 0))), (padded, kernel)


def _backward(
    saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    padded, kernel = saved
    kh, kw = kernel.shape[:2]
    sides = ((kh // 2, (kh - 1) // 2), (kw // 2, (kw - 1) // 2))
    to_input = _packed(gradient, kernel[::-1, ::-1].swapaxes(2, 3), sides)
    return to_input, _to_kernel(padded, gradient, kh, kw)


convolve.defvjp(_forward, _backward)


def _packed(
    x: jax.Array, kernel: jax.Array, padding: tuple[tuple[int, int], tuple[int, int]]
) -> jax.Array:
    """Cross-correlation with stride 1."""
    _, kw, inputs, features = kernel.shape
    batch, height, width = (
        size + sum(sides) - reach
        for size, sides, reach in zip(
            x.shape[:3], ((0, 0), *padding), (0, kernel.shape[0] - 1, kw - 1), strict=True
        )
    )

    def cost(pixels: int) -> float:
        """Of an output pixel: patches gathered times (their products, and what gathering takes)."""
        products = -(-features * pixels // _LANES)
        return (kw + pixels - 1) / pixels * (products + max(1, 4 / inputs))

    pixels = min((p for p in _PACKS if width % p == 0), key=cost)
    shifted = [
        jnp.pad(kernel, ((0, 0), (i, pixels - 1 - i), (0, 0), (0, 0))) for i in range(pixels)
    ]
    y = lax.conv_general_dilated(
        x,
        jnp.concatenate(shifted, axis=-1),
        (1, pixels),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(batch, height, width, features)


def _to_kernel(padded: jax.Array, gradient: jax.Array, kh: int, kw: int) -> jax.Array:
    """``[kh, kw, in, out]``: sums over pixels of the padded input times the output's gradient.

    A few images at a time, since what is gathered of them must stay in the cache.
    """
    batch, height, width, _ = gradient.shape
    size = images_of(batch, height * width)
    if size == batch:
        return _product(padded, gradient, kh, kw)

    def add(total: jax.Array, images: Any) -> tuple[jax.Array, None]:
        some, theirs = images
        return total + _product(some, theirs, kh, kw), None

    chunks = tuple(x.reshape(batch // size, size, *x.shape[1:]) for x in (padded, gradient))
    start = jnp.zeros((kh, kw, padded.shape[-1], gradient.shape[-1]), gradient.dtype)
    return lax.scan(add, start, chunks)[0]


def images_of(batch: int, pixels: int) -> int:
    """The most images of `pixels` that are handled at once, out of equal parts of `batch`."""
    most = max(1, _PIXELS // pixels)
    return max(size for size in range(1, min(batch, most) + 1) if batch % size == 0)


def _product(padded: jax.Array, gradient: jax.Array, kh: int, kw: int) -> jax.Array:
    """`_to_kernel` as a product of matrices: pairs of pixels see `kw + 1` taps, gathered once for both."""
    batch, height, width, features = gradient.shape
    inputs = padded.shape[-1]
    pixels = 2 if width % 2 == 0 and kw % 2 == 1 else 1
    taps = kw + pixels - 1
    columns, starts = width // pixels, range(taps // pixels)
    pairs = padded.reshape(batch, -1, padded.shape[2] // pixels, pixels * inputs)
    outputs = gradient.reshape(batch, height, columns, pixels * features)
    # The rows' shifts go to the thinner side: there are kh times as many columns then.
    thin = features <= inputs
    if thin:
        outputs = jnp.pad(outputs, ((0, 0), (kh - 1, kh - 1), (0, 0), (0, 0)))
        rows = height + kh - 1
        left = [pairs[:, :, j : j + columns] for j in starts]
        right = jnp.concatenate([outputs[:, kh - 1 - i :][:, :rows] for i in range(kh)], axis=-1)
    else:
        shifts = [pairs[:, i : i + height, j : j + columns] for i in range(kh) for j in starts]
        left, right = [jnp.concatenate(shifts, axis=-1)], outputs
    # Several narrow products run on all cores where XLA gives a wide one to a single core.
    b = right.reshape(-1, right.shape[-1])
    product = jnp.concatenate(
        [lax.dot_general(a.reshape(-1, a.shape[-1]), b, (((0,), (0,)), ((), ()))) for a in left]
    )
    if thin:
        split = product.reshape(taps, inputs, kh, pixels, features).transpose(2, 0, 1, 3, 4)
    else:
        split = product.reshape(kh, taps, inputs, pixels, features)
    return sum(split[:, i : i + kw, :, i] for i in range(pixels))  # type: ignore[return-value]
