"""The operations for which a target's file may have rules, and TFLite's operators for them."""

from collections.abc import Mapping
from types import MappingProxyType

OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "ADD": "add",
        "AVERAGE_POOL_2D": "average_pool",
        "BATCH_TO_SPACE_ND": "batch_to_space",
        "CAST": "quantize",
        "CONCATENATION": "concat",
        "CONV_2D": "conv2d",
        "DEPTH_TO_SPACE": "depth_to_space",
        "DEPTHWISE_CONV_2D": "conv2d",
        "DEQUANTIZE": "quantize",
        "DIV": "div",
        "EXP": "exp",
        "EXPAND_DIMS": "reshape",
        "FULLY_CONNECTED": "fully_connected",
        "LEAKY_RELU": "leaky_relu",
        "LOGISTIC": "sigmoid",
        "MAX_POOL_2D": "max_pool",
        "MAXIMUM": "clip",
        "MEAN": "mean",
        "MINIMUM": "clip",
        "MIRROR_PAD": "pad",
        "MUL": "mul",
        "PACK": "concat",
        "PAD": "pad",
        "PADV2": "pad",
        "PRELU": "prelu",
        "QUANTIZE": "quantize",
        "RELU": "relu",
        "RELU6": "clip",
        "RELU_0_TO_1": "clip",
        "RELU_N1_TO_1": "clip",
        "RESHAPE": "reshape",
        "RESIZE_BILINEAR": "resize",
        "RESIZE_NEAREST_NEIGHBOR": "resize",
        "SLICE": "slice",
        "SOFTMAX": "softmax",
        "SPACE_TO_BATCH_ND": "space_to_batch",
        "SPACE_TO_DEPTH": "space_to_depth",
        "SPLIT": "slice",
        "SPLIT_V": "slice",
        "SQRT": "sqrt",
        "SQUEEZE": "reshape",
        "STRIDED_SLICE": "slice",
        "SUB": "add",
        "TANH": "tanh",
        "TRANSPOSE": "transpose",
        "TRANSPOSE_CONV": "conv2d_transpose",
        "UNPACK": "slice",
    }
)
"""The operation of a `Layer` for each builtin operator, by which a target's rules go."""

ON_MAC = frozenset(
    {
        *("conv2d", "conv2d_transpose", "fully_connected", "depth_to_space"),
        *("max_pool", "average_pool", "mean", "resize"),
    }
)
"""The operations that a rule may give to the MAC array."""

PASSES = ("interleave",)
"""Operations that no network has: a target's own passes, which its rules name in `OpRule.strided_by`."""

ALIKE = frozenset({"conv_3d_transpose", "elu", "rsqrt", "shape"})
"""TFLite's operators outside of `OPERATORS` whose names are similar to one of ours, and no misspellings."""
