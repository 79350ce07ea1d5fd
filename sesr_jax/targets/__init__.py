"""What NPUs are: descriptions of their engines, memories and rules, each in a TOML file of this folder."""

from sesr_jax.targets.load import find_target, list_targets
from sesr_jax.targets.operations import ON_MAC, OPERATORS
from sesr_jax.targets.target import Mac, OpRule, Target

__all__ = ["ON_MAC", "OPERATORS", "Mac", "OpRule", "Target", "find_target", "list_targets"]
