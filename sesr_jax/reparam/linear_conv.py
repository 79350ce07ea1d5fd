"""`LinearConv`: the Flax module that trains a term and runs the convolution that it equals."""

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.reparam.forms import Form
from sesr_jax.reparam.norm import find_statistics, with_batch_statistics
from sesr_jax.reparam.terms import Conv, Term

Mode = Literal["collapsed", "expanded"]


class LinearConv(nn.Module):
    """A convolution ``[N, H, W, in] → [N, H, W, features]`` whose parameter is a term.

    The forward pass collapses the term and runs one small convolution; gradients reach the expanded
    parameters through the collapse (SESR's efficient training, Bhardwaj et al. 2022, §3.3). The same
    module runs a collapsed tree (`reparam.collapse`): its term is then a plain `Conv`.

    Batch norms inside the term use the averages that the term holds. ``apply(..., mutable=
    ["statistics"])`` uses the batch's own, and gives back, in that collection, a term that holds them;
    nothing else is stored there. Each device of a pmap sees the statistics of its own share.

    Attributes:
      features: output channels.
      form: makes the term, from a key and the channels.
      mode: "collapsed", or "expanded" to run the term as written, for ablations and proofs.
    """

    features: int
    form: Form
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves in the dtype of `x`; the collapse runs in the wider of its and the parameters'.

        Raises:
          InputError: `x` is not of floats, the mode is unknown, or the term has other channels.
        """
        check_floats(x)
        if self.mode not in get_args(Mode):
            raise InputError(
                f"mode is {self.mode!r}: it must be one of {', '.join(get_args(Mode))}."
            )
        # Linen's `param` compares shapes with the initialiser's, and a collapsed term differs.
        if self.has_variable("params", "term"):
            term: Term = self.get_variable("params", "term")
        else:
            term = self.param("term", self.form, x.shape[-1], self.features)
        held, wanted = (term.in_features, term.out_features), (x.shape[-1], self.features)
        if held != wanted:
            raise InputError(
                f"a term of {held[0]} → {held[1]} channels in a convolution of {wanted[0]} → {wanted[1]}: "
                "the variables must be this module's own."
            )
        wide = jax.tree.map(lambda p: p.astype(jnp.promote_types(p.dtype, x.dtype)), term)
        batch = self.is_mutable_collection("statistics") and not self.is_initializing()
        if batch and find_statistics(term):
            wide = with_batch_statistics(wide, x.astype(jnp.promote_types(jnp.float32, x.dtype)))
            self.put_variable("statistics", "term", wide)
        if self.mode == "expanded":
            return jax.tree.map(lambda p: p.astype(x.dtype), wide).apply(x)
        conv = jax.tree.map(lambda p: p.astype(x.dtype), _collapse(wide))
        return ops.conv2d(
            x, conv.kernel, conv.bias, strides=conv.strides, padding=_choose_padding(conv)
        )


@functools.partial(jax.jit, inline=True)
def _collapse(term: Term) -> Conv:
    """Collapses `term`; terms of the same structure and shapes are traced once, since networks have many."""
    return term.collapse()


def is_expanded(module: nn.Module) -> bool:
    """Whether `module` runs its terms as written, where it has a `mode`."""
    return getattr(module, "mode", None) == "expanded"


def check_floats(x: jax.Array) -> None:
    """Raises InputError where `x` is not of floats: kernels follow its dtype."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"an image of {x.dtype}, which would round kernels to whole numbers: it must be of floats; "
            "convert it first, one of 8 bits by x / 255."
        )


def _choose_padding(conv: Conv) -> ops.Padding:
    """Returns "SAME" where the reach allows it, since deployed runtimes know it best."""
    top, bottom, left, right = conv.reach
    # With strides, "SAME" depends on the size of the image.
    if conv.strides == (1, 1) and bottom - top in (0, 1) and right - left in (0, 1):
        return "SAME"
    return (top, bottom), (left, right)
