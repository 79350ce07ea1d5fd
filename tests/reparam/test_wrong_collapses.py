"""The checks of the laws can fail: each mistake of the field's codes breaks one."""

import functools

import jax
import jax.numpy as jnp
import pytest
from laws import SHAPE, check_law, exact, image, small

from sesr_jax.reparam import (
    BatchNorm,
    Conv,
    Sequential,
    acnet,
    combinators,
    conv_bn,
    dense,
    expandnet_cl,
    terms,
)


def _term(form, features: int = 4):
    return form(jax.random.key(0), 4, features)


def _mutated(function, mutation):
    return lambda *args: mutation(function(*args), *args)


_MUTATIONS = {
    "dropped bias": (
        combinators,
        "_compose",
        _mutated(combinators._compose, lambda conv, first, second: conv.replace(bias=second.bias)),
    ),
    "flipped kernel": (
        combinators,
        "_compose",
        _mutated(
            combinators._compose, lambda conv, *_: conv.replace(kernel=conv.kernel[::-1, ::-1])
        ),
    ),
    "off-by-one centre": (
        combinators,
        "_grow_kernel",
        _mutated(
            combinators._grow_kernel,
            lambda kernel, conv, _: (
                kernel if kernel.shape == conv.kernel.shape else jnp.roll(kernel, 1, axis=0)
            ),
        ),
    ),
    "padding each layer anew": (
        Sequential,
        "apply_valid",
        lambda self, x: terms.crop(
            functools.reduce(lambda y, t: terms.extend(t.apply_valid(y), t.reach), self.terms, x),
            self.reach,
            terms.Reach(),
        ),
    ),
    "strides forgotten": (combinators, "dilate", lambda kernel, rates: kernel),
    "bias seen by one tap": (
        combinators,
        "_compose",
        _mutated(
            combinators._compose,
            lambda conv, first, second: (
                conv
                if first.bias is None
                else conv.replace(
                    bias=terms.add_bias(first.bias @ second.kernel[0, 0], second.bias)
                )
            ),
        ),
    ),
    "epsilon outside the root": (
        BatchNorm,
        "collapse",
        lambda self: Conv(jnp.diag(self.scale / self.var)[None, None], self.bias),
    ),
}


def _caught(check, *args) -> bool:
    try:
        check(*args)
    except (AssertionError, TypeError, ValueError):
        return True
    return False


@pytest.mark.parametrize("mutation", _MUTATIONS.values(), ids=_MUTATIONS.keys())
def test_a_wrong_collapse_is_caught(mutation, monkeypatch):
    """The checks above can fail: each of the mistakes of the field's codes breaks the law for a form."""
    subjects = [exact(_term(form)) for form in (small(3), acnet(3), expandnet_cl(3, expansion=2))]
    subjects += [exact(_term(conv_bn(3)))]
    subjects += [exact(Sequential((_term(dense(3, strides=(2, 2))), _term(dense(3)))))]
    assert not any(_caught(check_law, term, image(*SHAPE)) for term in subjects)
    monkeypatch.setattr(*mutation)
    assert any(_caught(check_law, term, image(*SHAPE)) for term in subjects)
