"""Network families, one short file each, and the registry of published variants."""

from sesr_jax.models.registry import VARIANTS, Variant, create

__all__ = ["VARIANTS", "Variant", "create"]
