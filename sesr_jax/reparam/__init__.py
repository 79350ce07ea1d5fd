"""The reparameterisation algebra: terms, the forms that make them, their collapse, and `LinearConv`.

Knows nothing of super-resolution: it works in any JAX code.
"""

from sesr_jax.reparam.forms import (
    FORMS,
    Form,
    acnet,
    collapsible,
    dense,
    kernel_basis,
    repvgg,
    with_residual,
)
from sesr_jax.reparam.growth import basis_sizes, grow_basis, pad_basis
from sesr_jax.reparam.linear_conv import LinearConv
from sesr_jax.reparam.terms import (
    Basis,
    Conv,
    Identity,
    Reach,
    Scale,
    Sequential,
    Sum,
    Term,
    collapse,
    is_term,
)

__all__ = [
    "FORMS",
    "Basis",
    "Conv",
    "Form",
    "Identity",
    "LinearConv",
    "Reach",
    "Scale",
    "Sequential",
    "Sum",
    "Term",
    "acnet",
    "basis_sizes",
    "collapse",
    "collapsible",
    "dense",
    "grow_basis",
    "is_term",
    "kernel_basis",
    "pad_basis",
    "repvgg",
    "with_residual",
]
