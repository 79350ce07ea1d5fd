"""Weights of ARM-software/sesr, the SESR paper's own code (TensorFlow).

Two kinds of names are read. The first are those of the TensorFlow checkpoint ``model_weights``, which
its training script leaves. There, ``…`` is ``collapse`` for a LinearBlock_c, which collapses at every
training step, and ``block`` for a LinearBlock_e:

| theirs | ours |
|---|---|
| ``input_block/…/layer_with_weights-0/{kernel, bias}`` | head, the 5×5 to the expansion |
| ``input_block/…/layer_with_weights-1/{kernel, bias}`` | head, the 1×1 behind it |
| ``linear_blocks/i/…/layer_with_weights-{0, 1}/{kernel, bias}`` | block_i, inside the short residual |
| ``activations/i/alpha`` ``[1, 1, f]`` | prelu_i; none in networks trained for INT8, which have ReLU |
| ``output_block/…/layer_with_weights-{0, 1}/{kernel, bias}`` | tail |

The second are the names or paths that Keras gives the variables
(``{v.path: v.numpy() for v in model.variables}``). The numbers in them give the order in which the
layers were made. A LinearBlock_c makes one layer that it does not use, so that some numbers are missing:

| theirs | ours |
|---|---|
| ``…/conv2d_n/{kernel, bias}``, two in turn | head, block_0, block_1, …, tail |
| ``…/p_re_lu_n/alpha`` | prelu_0, prelu_1, … |

**Two readings of the biases.** The inner convolutions have biases b₁ and b₂. On an endless plane they
amount to b₂ + W₂ᵀb₁, one number per channel that is added behind the collapsed kernel. LinearBlock_e
computes just that: ``reading="exact"``. LinearBlock_c runs its convolutions with their biases on a unit
impulse, so that the number lands in *every tap of the kernel* and no bias is left.
``reading="released"`` returns that function, collapsed. A network trained with LinearBlock_c learnt it,
and it differs from the exact one wherever biases are not zero.

A LinearBlock_c also adds the short residual wherever it has as many output channels as input channels.
At ×4 with 16 features this holds for ``output_block`` too, unlike in the paper; the tail then has an
identity.

The importer leaves out constants (``delta``, ``residual``) and ranges of quantisation.
"""

import logging
import re
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from sesr_jax.importers.arrays import Arrays, match_arrays
from sesr_jax.importers.trees import conv, linear_block, list_convolution_sizes, make_sesr_params
from sesr_jax.models.sesr import SESR
from sesr_jax.reparam import Conv, Identity, Sum, Term

Reading = Literal["exact", "released"]

_log = logging.getLogger(__name__)

_CHECKPOINT = re.compile(
    r"(input_block|linear_blocks/\d+|output_block)/(collapse|block)/(layer_with_weights-[01]/\w+)"
)
_KERAS = re.compile(r"(?:.*/)?(conv2d|p_re_lu)(?:_(\d+))?/(kernel|bias|alpha)(?::0)?")
_CONSTANT = re.compile(
    r"(.*/)?(delta|residual|collapsed_weights|[Vv]ariable(_\d+)?(:0)?|\w*quant_\w+(:0)?|save_counter)"
    r"|(optimizer|keras_api)/.*"
)


def convert(
    arrays: Arrays, create: Callable[..., SESR], *, reading: Reading = "exact"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options that the file shows, and the parameters; `create` makes the module from options.

    Raises:
      Misfit: names or shapes differ from the network's.
    """
    variables = {k: v for k, v in arrays.items() if not _CONSTANT.fullmatch(k)}
    named, online = _to_checkpoint_names(variables)
    prelu = any(name.startswith("activations/") for name in named)
    options: dict[str, Any] = {
        "activation": "prelu" if prelu else "relu",
        "input_residual": True,
        "expansion": _find_expansion(named),
        "centre": 0.5,
    }
    module = create(**options)
    owners = {name: _to_their_name(name) for name in list_convolution_sizes(module)}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (k, n, m) in list_convolution_sizes(module).items():
        p = module.expansion
        expand, project = (f"{owners[name]}/layer_with_weights-{i}" for i in (0, 1))
        shapes |= {f"{expand}/kernel": (k, k, n, p), f"{expand}/bias": (p,)}
        shapes |= {f"{project}/kernel": (1, 1, p, m), f"{project}/bias": (m,)}
    slopes = [f"activations/{i}/alpha" for i in range(module.blocks if prelu else 0)]
    shapes |= dict.fromkeys(slopes, (1, 1, module.features))
    values = match_arrays(named, shapes)

    terms: dict[str, Term] = {}
    for name, owner in owners.items():
        parts = [values[f"{owner}/layer_with_weights-{part}"] for part in _PARTS]
        block: Term = linear_block(*parts)
        if reading == "released":
            block = _with_bias_in_every_tap(block.collapse())
        if name.startswith("block_") or (online and block.in_features == block.out_features):
            block = Sum((block, Identity(module.features)))
        terms[name] = block.collapse() if reading == "released" else block
    if any(values[name].any() for name in shapes if name.endswith("bias")):
        own = ("LinearBlock_c", "released") if online else ("LinearBlock_e", "exact")
        _log.warning(
            "the linear blocks have biases, which the exact collapse adds once, and Arm's released collapse "
            "to every tap of a kernel. They are read as %s; these are %s, which were trained as %s.",
            reading,
            *own,
        )
    return options, make_sesr_params(terms, [values[name].ravel() for name in slopes])


_PARTS = ("0/kernel", "0/bias", "1/kernel", "1/bias")


def _to_their_name(name: str) -> str:
    fixed = {"head": "input_block", "tail": "output_block"}
    return fixed.get(name) or name.replace("block_", "linear_blocks/")


def _with_bias_in_every_tap(exact: Conv) -> Conv:
    assert exact.bias is not None
    return conv(np.asarray(exact.kernel + exact.bias), np.asarray(jnp.zeros_like(exact.bias)))


def _find_expansion(named: Arrays) -> int:
    kernel = named.get("input_block/layer_with_weights-0/kernel")
    return 256 if kernel is None else kernel.shape[-1]


def _to_checkpoint_names(arrays: Arrays) -> tuple[dict[str, np.ndarray], bool]:
    """Returns the arrays by the checkpoint's names without the part ``…``, and whether the blocks are _c."""
    keras = {k: match for k in arrays if (match := _KERAS.fullmatch(k))}
    layers = {
        kind: sorted({int(m[2] or 0) for m in keras.values() if m[1] == kind})
        for kind in ("conv2d", "p_re_lu")
    }
    convs = layers["conv2d"]
    online = bool(convs) and convs[-1] - convs[0] >= len(convs)
    named = {}
    for name, value in arrays.items():
        if match := _CHECKPOINT.fullmatch(name):
            online |= match[2] == "collapse"
            named[f"{match[1]}/{match[3]}"] = value
        elif match := keras.get(name):
            rank = layers[match[1]].index(int(match[2] or 0))
            named[_from_keras_name(match[1], match[3], rank, len(convs) // 2 - 1)] = value
        else:
            named[name] = value
    return named, online


def _from_keras_name(kind: str, variable: str, rank: int, last: int) -> str:
    """Returns the checkpoint's name for `variable` of the `rank`-th layer of its `kind`."""
    if kind == "p_re_lu":
        return f"activations/{rank}/{variable}"
    block, layer = divmod(rank, 2)
    ours = "head" if block == 0 else "tail" if block == last else f"block_{block - 1}"
    return f"{_to_their_name(ours)}/layer_with_weights-{layer}/{variable}"
