"""Makes the rivals of `benchmarks.steps`: step, crops and convolutions in PyTorch, and Arm's own step."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.race import Functions

SEED = 0

WAYS = ("forward", "to input", "to kernel")
"""What a training step computes of a convolution."""


def list_distinct_layers(args: argparse.Namespace) -> dict[str, tuple[int, int, int]]:
    """Returns (kernel size, in, out) of the collapsed network's distinct convolutions."""
    return {f"{k}×{k}, {i}→{o}": (k, i, o) for k, i, o in args.layers}


def make_image() -> Any:
    """Returns an image uint8 [512, 512, 3] with the statistics of a photo."""
    from sesr_jax.reparam.cost import make_photo_noise

    return (make_photo_noise((1, 512, 512, 3))[0] * 255).astype("uint8")


def torch_network(terms: list[Any], slopes: list[Any], *, channels_last: bool = False) -> Any:
    """Returns SESR ×2 as a PyTorch function of ``[N, 1, H, W]``, collapsed in every call, and its parameters.

    Args:
      terms: of head, blocks and tail: k×k kernel ``[p, in, k, k]``, its bias, 1×1 kernel ``[out, p]``, bias.
      slopes: of the blocks' PReLUs.
      channels_last: the layout of kernels and images.
    """
    import torch
    from torch.nn import functional

    parameters = [[p.clone().requires_grad_() for p in term] for term in terms]
    slopes = [slope.clone().requires_grad_() for slope in slopes]
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def convolve(x: Any, term: list[Any], residual: bool) -> Any:
        wide, wide_bias, narrow, bias = term
        kernel = torch.einsum("op,pikl->oikl", narrow, wide)
        if residual:
            side = kernel.shape[-1] // 2
            kernel = kernel + functional.pad(torch.eye(len(kernel))[:, :, None, None], (side,) * 4)
        bias = bias + narrow @ wide_bias
        return functional.conv2d(x, kernel.contiguous(memory_format=layout), bias, padding="same")

    def network(x: Any) -> Any:
        x = x.contiguous(memory_format=layout)
        shallow = h = convolve(x - 128 / 255, parameters[0], False)
        for term, slope in zip(parameters[1:-1], slopes, strict=True):
            h = functional.prelu(convolve(h, term, True), slope)
        return functional.pixel_shuffle(convolve(h + shallow, parameters[-1], False) + x, 2)

    return network, [p for term in parameters for p in term] + slopes


def _torch_parameters(args: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    import torch

    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator) / 16

    terms = [
        [normal(256, i, k, k) / k, torch.zeros(256), normal(o, 256), torch.zeros(o)]
        for k, i, o in args.layers
    ]
    return terms, [torch.full((o,), 0.25) for _, _, o in args.layers[1:-1]]


def torch_step(
    args: argparse.Namespace, *, compiled: bool = False, channels_last: bool = False
) -> Functions:
    """Returns a training step of PyTorch's network."""
    import torch

    torch.manual_seed(SEED)
    network, parameters = torch_network(*_torch_parameters(args), channels_last=channels_last)
    optimizer = torch.optim.Adam(parameters, lr=5e-4, amsgrad=True)
    lr, hr = (torch.rand(args.batch, 1, s * args.crop, s * args.crop) for s in (1, 2))

    def loss(lr: Any, hr: Any) -> Any:
        return (network(lr) - hr).abs().mean()

    run = torch.compile(loss) if compiled else loss

    def step() -> None:
        optimizer.zero_grad()
        run(lr, hr).backward()
        optimizer.step()

    return {"step": step}


def torch_compiled(args: argparse.Namespace) -> Functions:
    """Returns `torch_step` compiled."""
    return torch_step(args, compiled=True)


def torch_last(args: argparse.Namespace) -> Functions:
    """Returns `torch_step` with channels last."""
    return torch_step(args, channels_last=True)


def torch_last_compiled(args: argparse.Namespace) -> Functions:
    """Returns `torch_step` compiled, with channels last."""
    return torch_step(args, compiled=True, channels_last=True)


def torch_crops(args: argparse.Namespace) -> Functions:
    """Returns a DataLoader without workers, which on few cores would only take turns with the process."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    hr = torch.from_numpy(make_image()).permute(2, 0, 1).contiguous()
    lr, patch = hr[:, ::2, ::2].contiguous(), args.crop

    class Crops(Dataset):
        def __len__(self) -> int:
            return args.batch

        def __getitem__(self, _: int) -> tuple[Any, Any]:
            y, x = (int(torch.randint(size - patch + 1, ())) for size in lr.shape[1:])
            symmetry = int(torch.randint(8, ()))
            crops = (
                image[:, s * y : s * (y + patch), s * x : s * (x + patch)]
                for image, s in ((lr, 1), (hr, 2))
            )
            return tuple(self._turn(crop, symmetry) for crop in crops)

        def _turn(self, crop: Any, symmetry: int) -> Any:
            flips = [axis + 1 for axis in (0, 1) if symmetry >> axis & 1]
            crop = crop.flip(flips) if flips else crop
            return (crop.transpose(1, 2) if symmetry & 4 else crop).float() / 255

    loader = DataLoader(Crops(), batch_size=args.batch)
    return {"batch": lambda: list(loader)}


def torch_convolutions(args: argparse.Namespace) -> Functions:
    """Returns the network's convolutions and their gradients, one by one."""
    import torch
    from torch.nn import functional

    functions: Functions = {}
    for name, (size, inputs, features) in list_distinct_layers(args).items():
        x, y = (torch.rand(args.batch, c, args.crop, args.crop) for c in (inputs, features))
        kernel, sides = torch.rand(features, inputs, size, size), [size // 2] * 2

        def backward(x: Any, y: Any, kernel: Any, sides: Any, wanted: list[bool]) -> Any:
            return torch.ops.aten.convolution_backward(
                y, x, kernel, None, [1, 1], sides, [1, 1], False, [0, 0], 1, wanted
            )

        def bind(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
            return lambda: function(*arguments)

        ways = (
            bind(functional.conv2d, x, kernel, None, 1, "same"),
            bind(backward, x, y, kernel, sides, [True, False, False]),
            bind(backward, x, y, kernel, sides, [False, True, False]),
        )
        for way, function in zip(WAYS, ways, strict=True):
            functions[f"{name}: {way}"] = function
    return functions


def arm_step(args: argparse.Namespace, *, block: str = "LinearBlock_c") -> Functions:
    """Returns the training step of Arm's code, with collapsed blocks or those of another name."""
    sys.path.insert(0, str(args.arm))
    import tensorflow as tf

    tf.compat.v1.flags.DEFINE_integer("scale", 2, "which Arm's training script defines")
    from models import model_utils, sesr

    tf.compat.v1.flags.FLAGS(["steps"])
    network = sesr.SESR(
        m=5,
        feature_size=256,
        LinearBlock_fn=getattr(model_utils, block),
        quant_W=False,
        quant_A=False,
        gen_tflite=False,
        mode="train",
    )
    optimizer = tf.keras.optimizers.Adam(learning_rate=2e-4, amsgrad=True)
    network.compile(optimizer=optimizer, loss="mae")
    lr, hr = (tf.random.uniform((args.batch, s * args.crop, s * args.crop, 1)) for s in (1, 2))
    return {"step": lambda: network.train_on_batch(lr, hr)}


def arm_expanded(args: argparse.Namespace) -> Functions:
    """Returns the step of Arm's code with expanded blocks."""
    return arm_step(args, block="LinearBlock_e")
