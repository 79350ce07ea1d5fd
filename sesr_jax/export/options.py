"""The choices of an export, in one value that each of its steps reads."""

import dataclasses
from typing import Literal, get_args

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, Tail
from sesr_jax.quant import Scheme

Precision = Literal["int8", "int16", "weights", "dynamic", "float16", "float32"]
Converter = Literal["jax2tf", "litert"]
Codes = Literal["int8", "uint8"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The choices of an export; `graph.with_tail` and `quant.Scheme` say more of tails and patterns.

    Attributes:
      precision: int8 (integers from end to end), int16 (16-bit activations, 8-bit weights), dynamic (8-bit
        weights, and activations quantised by ranges that are measured at run time), weights (8-bit
        weights, float arithmetic), float16 (16-bit weights, and in an .onnx file activations of 16 bits too;
        pixels stay float32) or float32.
      exclude: patterns of the names of the layers that stay float, such as 'tail/*'.
      io: the type of an INT8 file's pixels; by default int8 in a .tflite file, and float32 in an .onnx file.
      tail: how the last channels become pixels; "none" leaves that to the program that runs the file. The
        default is depth_to_space, and transpose in files of 16 bits, for which TFLite has no such operator.
      clip: whether an operator of its own limits the output to [0, 1].
      converter: TensorFlow's converter, by jax2tf, or LiteRT's, from StableHLO and without TensorFlow.

    Raises:
      InputError: a choice is unknown, or two do not go together.
    """

    precision: Precision = "int8"
    exclude: tuple[str, ...] = ()
    io: Codes | None = None
    tail: Tail | None = None
    clip: bool = False
    converter: Converter = "jax2tf"

    def __post_init__(self) -> None:
        """Checks the values; `with_tail` checks the tail."""
        for name, value, known in (
            ("precision", self.precision, get_args(Precision)),
            ("io", self.io, get_args(Codes)),
            ("converter", self.converter, get_args(Converter)),
        ):
            if value not in known and not (name == "io" and value is None):
                raise InputError(
                    f"the {name} {value!r} is unknown: it must be one of {', '.join(known)}."
                )
        if self.converter == "litert" and self.precision in ("dynamic", "float16"):
            raise InputError(
                f"the converter litert makes no {self.precision} files; take jax2tf for them."
            )
        if self.io == "uint8" and self.precision != "int8":
            raise InputError(
                f"a file of {self.precision} has no pixels of uint8; take int8, or leave io out."
            )
        if self.exclude and self.precision not in ("int8", "int16"):
            raise InputError(
                f"a file of {self.precision} has nothing to exclude {', '.join(self.exclude)} from; "
                "exclude layers of int8 and int16 alone."
            )
        if self.precision == "int16" and self.tail == "depth_to_space":
            raise InputError(
                "TFLite has no DEPTH_TO_SPACE of 16 bits; take the tail transpose, transposed_conv or none."
            )

    @property
    def scheme(self) -> Scheme:
        """What is quantised before a converter reads the network."""
        activations: Literal["int8", "int16", "float"] = "float"
        if self.precision == "int8" or self.precision == "int16":
            activations = self.precision
        return Scheme(activations=activations, exclude=self.exclude)

    @property
    def integer(self) -> bool:
        """Whether activations are integers, for which there must be ranges."""
        return self.precision in ("int8", "int16")

    @property
    def absorbs_clips(self) -> bool:
        """Whether ranges do the work of clips, which symmetric ranges of 16 bits cannot."""
        return self.precision == "int8" and not self.clip

    def choose_tail(self, graph: Graph) -> Tail:
        """Chooses the tail that `graph` gets."""
        if self.tail is not None:
            return self.tail
        shuffles = any(node.op == "depth_to_space" for node in graph.nodes)
        return "transpose" if shuffles and self.precision == "int16" else "depth_to_space"
