"""Other projects' forward passes, restated convolution by convolution in float64 NumPy."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def correlate(x, kernel):
    """Without padding: ``[N, H, W, in]`` by ``[kh, kw, in, out]``."""
    windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))  # [N, h, w, in, kh, kw]
    return np.einsum("nhwikl,klio->nhwo", windows, kernel.astype(float), optimize=True)


def same(x, kernel, bias=0.0):
    """Zeros around an odd kernel, as Keras's "same" and PyTorch's padding=k//2 put them."""
    r = kernel.shape[0] // 2
    return correlate(np.pad(x, ((0, 0), (r, r), (r, r), (0, 0))), kernel) + bias


def to_hwio(kernel):
    """A PyTorch kernel for `correlate`."""
    return kernel.transpose(2, 3, 1, 0)


def prelu(x, slope):
    return np.where(x > 0, x, slope * x)


def depth_to_space(x, block):
    """TensorFlow's: the colours are the last part of the channel number."""
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, block, block, c // block**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * block, w * block, -1)


def pixel_shuffle(x, block):
    """PyTorch's: the colours are the first part of the channel number."""
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, c // block**2, block, block).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, h * block, w * block, -1)


def draw(shapes, seed=0):
    """Random arrays whose size keeps a deep network's activations near 1."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(size=shape) * (0.1 if len(shape) < 4 else np.prod(shape) ** -0.35)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }


def assert_close(got, want):
    """To 1e-5 of the largest value, at least of 1."""
    np.testing.assert_allclose(got, want, atol=1e-5 * max(1, np.abs(want).max()))


def image(channels=1, seed=1):
    return np.random.default_rng(seed).uniform(size=(2, 9, 7, channels)).astype(np.float32)
