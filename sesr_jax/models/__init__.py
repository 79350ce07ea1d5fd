"""Network families, one short file each, and the registry of published variants."""

from sesr_jax.models.registry import VARIANTS, create
from sesr_jax.models.variant import UpscalingModule, Variant

__all__ = ["VARIANTS", "UpscalingModule", "Variant", "create"]
