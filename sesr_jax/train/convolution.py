"""Convolution with stride 1 and its gradients, in the forms that XLA's CPU compiler runs fast.

XLA's CPU backend multiplies matrices whose columns are the output channels, 16 to a vector register, and
gathers a patch of the input for every row. A convolution of few channels leaves most of each register idle:

- **Neighbours are packed.** `r` pixels of a row are computed as `r` times the channels of one, by a kernel
  that is `r - 1` taps wider and has a zero where a pixel does not see a tap. The result needs no copy.
- **Many channels are multiplied before they are shifted**, where fewer come out: gathering patches of them
  costs more than adding up the products.
- **The kernel's gradient is one product of matrices**, of shifted rows with shifted columns, where the
  compiler would transpose both images.
- **A few groups are one dense kernel**, with zeros: the compiler has no fast gradient of grouped ones.
- **Every convolution is in the order that the compiler wants** (NHWC, HWIO). The compiler rearranges other
  orders, but not inside loops, where they run 40 times slower.

The values are those of `lax.conv_general_dilated` but for the order of sums.

    y = convolve(x, kernel, ((1, 1), (1, 1)))

Limits: reverse-mode derivatives only, of any order. `train.cpu` decides where it is used.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and below, to the left and to the right of an image."""

_LANES = 16
"""float32 values in a vector register (AVX-512); shorter registers are used in pairs."""

_PACKS = (1, 2, 4, 8)
"""How many pixels of a row may be computed at once."""

_MANY_CHANNELS = 4 * _LANES
"""From so many channels on, gathering patches costs more than shifting products."""

_CHUNK_VALUES = 2**18
"""Values of a map that are handled at once: 1 MiB, which stays in the cache."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: jax.Array, kernel: jax.Array, padding: Sides, groups: int = 1) -> jax.Array:
    """Returns the cross-correlation of ``[N, H, W, in]`` with ``[kh, kw, in / groups, out]``, at stride 1.

    Where no gradient is asked for, it is the compiler's convolution to the last bit.

    Args:
      x: the images.
      kernel: the kernel.
      padding: zeros around each image, on every side fewer than the kernel's size.
      groups: of channels.
    """
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _forward(
    x: jax.Array, kernel: jax.Array, padding: Sides, groups: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    kernel = _to_dense(kernel, groups)
    # The image is padded once, for the convolution and for the kernel's gradient.
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    return _correlate(padded, kernel, ((0, 0), (0, 0))), (padded, kernel)


def _backward(
    padding: Sides, groups: int, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    padded, kernel = saved
    kh, kw = kernel.shape[:2]
    (top, bottom), (left, right) = padding
    sides = (kh - 1 - top, kh - 1 - bottom), (kw - 1 - left, kw - 1 - right)
    to_input = _correlate(gradient, kernel[::-1, ::-1].swapaxes(2, 3), sides)
    return to_input, _from_dense(_differentiate_by_kernel(padded, gradient, kh, kw), groups)


convolve.defvjp(_forward, _backward)


def _to_dense(kernel: jax.Array, groups: int) -> jax.Array:
    """Returns ``[kh, kw, in, out]`` from ``[kh, kw, in / groups, out]``, with zeros between the groups."""
    if groups == 1:
        return kernel
    kh, kw, inputs, features = kernel.shape
    blocks = kernel.reshape(kh, kw, 1, inputs, groups, features // groups)
    apart = blocks * jnp.eye(groups, dtype=kernel.dtype)[:, None, :, None]
    return apart.reshape(kh, kw, groups * inputs, features)


def _from_dense(kernel: jax.Array, groups: int) -> jax.Array:
    """Inverts `_to_dense`."""
    if groups == 1:
        return kernel
    kh, kw, inputs, features = kernel.shape
    blocks = kernel.reshape(kh, kw, groups, inputs // groups, groups, features // groups)
    return jnp.einsum("hwgigo->hwigo", blocks).reshape(kh, kw, inputs // groups, features)


def _correlate(x: jax.Array, kernel: jax.Array, padding: Sides) -> jax.Array:
    """Correlates with stride 1, by the faster of both ways."""
    kh, kw, inputs, features = kernel.shape
    # A single tap has nothing to gather.
    products_first = kh == kw == 1 or (inputs >= _MANY_CHANNELS and inputs > features)
    return (_correlate_shifted if products_first else _correlate_packed)(x, kernel, padding)


def _correlate_shifted(x: jax.Array, kernel: jax.Array, padding: Sides) -> jax.Array:
    """Multiplies matrices, one for each row of taps, then shifts their outputs and adds them up."""
    kh, kw, inputs, features = kernel.shape
    (top, bottom), (left, right) = padding
    rows = []
    for i in range(kh):
        product = x.reshape(-1, inputs) @ kernel[i].swapaxes(0, 1).reshape(inputs, -1)
        taps = product.reshape(*x.shape[:3], kw, features)
        row = [_pad_axis(taps[..., j, :], 2, left - j, right - (kw - 1 - j)) for j in range(kw)]
        rows.append(_pad_axis(functools.reduce(jnp.add, row), 1, top - i, bottom - (kh - 1 - i)))
    return functools.reduce(jnp.add, rows)


def _pad_axis(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Puts zeros before and after `x` along `axis`; negative numbers of them cut it off."""
    return lax.pad(
        x,
        jnp.zeros((), x.dtype),
        [(before, after, 0) if i == axis else (0, 0, 0) for i in range(4)],
    )


def _correlate_packed(x: jax.Array, kernel: jax.Array, padding: Sides) -> jax.Array:
    """Calls the compiler's convolution for several pixels at once."""
    _, kw, inputs, features = kernel.shape
    batch, height, width = (
        size + sum(sides) - reach
        for size, sides, reach in zip(
            x.shape[:3], ((0, 0), *padding), (0, kernel.shape[0] - 1, kw - 1), strict=True
        )
    )

    def cost(pixels: int) -> float:
        """Returns the cost of one output pixel: patches times (their products plus their gathering)."""
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


def _differentiate_by_kernel(padded: jax.Array, gradient: jax.Array, kh: int, kw: int) -> jax.Array:
    """Returns ``[kh, kw, in, out]``: sums over pixels of the padded input times the output's gradient.

    It takes a few images at a time, since what is gathered of them must stay in the cache.
    """
    batch, height, width, features = gradient.shape
    size = images_per_chunk(batch, height * width * max(padded.shape[-1], features))
    if size == batch:
        return _kernel_gradient(padded, gradient, kh, kw)

    def add(total: jax.Array, images: Any) -> tuple[jax.Array, None]:
        some, theirs = images
        return total + _kernel_gradient(some, theirs, kh, kw), None

    chunks = tuple(x.reshape(batch // size, size, *x.shape[1:]) for x in (padded, gradient))
    start = jnp.zeros((kh, kw, padded.shape[-1], features), gradient.dtype)
    return lax.scan(add, start, chunks)[0]


def images_per_chunk(batch: int, values: int) -> int:
    """Returns how many images of so many `values` are handled at once; it divides `batch`."""
    most = max(1, _CHUNK_VALUES // values)
    return max(size for size in range(1, min(batch, most) + 1) if batch % size == 0)


def _kernel_gradient(padded: jax.Array, gradient: jax.Array, kh: int, kw: int) -> jax.Array:
    """Computes `_differentiate_by_kernel` by a product of matrices.

    Pairs of pixels see `kw + 1` taps, which are gathered once for both.
    """
    batch, height, width, features = gradient.shape
    inputs = padded.shape[-1]
    pixels = 2 if width % 2 == 0 and kw % 2 == 1 and max(inputs, features) < _MANY_CHANNELS else 1
    taps = kw + pixels - 1
    columns, starts = width // pixels, range(taps // pixels)
    pairs = padded.reshape(batch, -1, padded.shape[2] // pixels, pixels * inputs)
    outputs = gradient.reshape(batch, height, columns, pixels * features)
    # The rows' shifts go to the thinner side: there are kh times as many columns then.
    thin = features <= inputs
    if thin:
        outputs = jnp.pad(outputs, ((0, 0), (kh - 1, kh - 1), (0, 0), (0, 0)))
        seen = height + kh - 1
        left = [pairs[:, :, j : j + columns] for j in starts]
        right = jnp.concatenate([outputs[:, kh - 1 - i :][:, :seen] for i in range(kh)], axis=-1)
    else:
        rows = [pairs[:, i : i + height] for i in range(kh)]
        left = [jnp.concatenate([row[:, :, j : j + columns] for j in starts], -1) for row in rows]
        right = outputs
    # Several narrow products run on all cores where XLA gives a wide one to a single core.
    b = right.reshape(-1, right.shape[-1])
    product = jnp.concatenate([_multiply_transposed(a.reshape(-1, a.shape[-1]), b) for a in left])
    if thin:
        split = product.reshape(taps, inputs, kh, pixels, features).transpose(2, 0, 1, 3, 4)
    else:
        split = product.reshape(kh, taps, inputs, pixels, features)
    return sum(split[:, i : i + kw, :, i] for i in range(pixels))  # type: ignore[return-value]


def _multiply_transposed(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns aᵀb, with the wider of both on the right, where the compiler is faster."""
    rows = (((0,), (0,)), ((), ()))
    if a.shape[-1] <= b.shape[-1]:
        return lax.dot_general(a, b, rows)
    # The barrier keeps the compiler from turning it back.
    return lax.optimization_barrier(lax.dot_general(b, a, rows)).T
