"""How a project's PyTorch code names the layers of a network, as a table, and what follows from it.

A `Layout` lists each of their layers beside the path of ours. Kernels, biases and PReLU slopes follow from
the layers, and the sizes of the network from the shapes, so that a file shows by itself what it holds:

    found = layout.read(arrays)                     # scale factors and options
    params = layout.convert(arrays, module)

In the tables, {i} stands for every block, and {n} for the number of blocks; {2i+3} is for blocks that take
two numbers each. A path of ours that ends in @2 is of ×2 alone, in files that hold several scale factors.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax.graph import SAMPLE_SIDE
from sesr_jax.importers.arrays import Arrays, Misfit, match_arrays
from sesr_jax.importers.trees import find_pixel_order, to_hwio
from sesr_jax.models import VARIANTS, create
from sesr_jax.models.layers import DIV2K_MEAN
from sesr_jax.models.variant import FormOption
from sesr_jax.reparam import Conv

_NUMBER = re.compile(r"\{(\d*)([in])(?:\+(\d+))?\}")
"""A place for a number in a name: factor, letter, offset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a file shows of its network.

    Attributes:
      scales: the scale factors that its shapes allow.
      options: the fields of the module, as far as shapes tell them.
    """

    scales: tuple[int, ...]
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The names and conventions of a project's networks of one family.

    Attributes:
      project: where the code and the weights are.
      models: the models of the zoo that they may be; the first one takes all sizes.
      table: lines of "their layer", and "our path".
      first: the number of their first block.
      blocks: our option for the number of blocks, or the number itself where it is fixed.
      sizes: our options that are the output channels of a layer of ours.
      fixed: options that belong to the layout.
      values: what their network takes for white, and what it gives for white: 1 or 255.
      ends: the layers of ours that these values scale, the first and the last one.
      shuffled: the layers of ours that give the pixels of PyTorch's pixel shuffle.
      second_stage: the layers of ours that ×4 alone has, where these and not the tail show the scale factor.
      form: of the deployed convolutions, for a module that has the option.
      unshuffled: whether ×2 and ×1 begin with PyTorch's pixel unshuffle, so that the channels of the first
        layer show the scale factor.
      scales: the scale factors of every file, where its shapes do not show them.
      means: their layers that add a multiple of DIV2K's mean, which our network adds itself; the multiples.
      slopes: "channels" where PReLUs have a slope per channel, and "shared" where they have one.
    """

    project: str
    models: tuple[str, ...]
    table: str
    first: int = 0
    blocks: str | int = "blocks"
    sizes: Mapping[str, str]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    values: tuple[int, int] = (1, 1)
    ends: tuple[str, str] = ("head", "tail")
    shuffled: tuple[str, ...] = ("tail",)
    second_stage: tuple[str, ...] = ()
    form: FormOption = "dense"
    unshuffled: bool = False
    scales: tuple[int, ...] = ()
    means: Mapping[str, float] = dataclasses.field(default_factory=dict)
    slopes: Literal["channels", "shared"] = "channels"

    def list_layers(self, blocks: int) -> dict[str, str]:
        """Returns the paths of our layers by their names, for a network of so many blocks."""
        layers = {}
        for line in self.table.strip().splitlines():
            theirs, ours = line.split()
            for i in range(blocks if "{i}" in ours else 1):
                name = _fill(theirs, i=i + self.first, n=blocks + self.first)
                layers[name] = _fill(ours, i=i)
        return layers

    def count_blocks(self, names: Mapping[str, Any]) -> int:
        """Returns the number of blocks that a file with layers of these names has; 0 where it has none."""
        if isinstance(self.blocks, int):
            return self.blocks
        pattern = next(line.split()[0] for line in self.table.splitlines() if "{i}" in line)
        before, factor, _, offset, after = _NUMBER.split(pattern)
        numbered = re.compile(rf"{re.escape(before)}(\d{{1,6}}){re.escape(after)}")
        found = [int(match[1]) for name in names if (match := numbered.fullmatch(name))]
        step, start = int(factor or 1), int(offset or 0)
        blocks = [(number - start) // step for number in found if number % step == start % step]
        return min(max(blocks) - self.first + 1, len(names)) if blocks else 0

    def read(self, arrays: Arrays) -> Found:
        """Returns what `arrays` show, whose layers must have the names of the table.

        Raises:
          Misfit: their shapes are of no such network.
        """
        names = list_layers(arrays)
        blocks = self.count_blocks(names)
        theirs = {ours: name for name, ours in self.list_layers(blocks).items()}

        def outputs(ours: str) -> int:
            return arrays[f"{theirs[ours]}.weight"].shape[0]

        options: dict[str, Any] = {option: outputs(ours) for option, ours in self.sizes.items()}
        options |= self.fixed
        if isinstance(self.blocks, str):
            options[self.blocks] = blocks
        taken = arrays[f"{theirs[self.ends[0]]}.weight"].shape[1:2]
        channels = (outputs(self.ends[1]),) if self.unshuffled else taken
        if channels not in ((1,), (3,)):
            raise Misfit(f"{theirs[self.ends[0]]} takes {taken} channels: it must take 1 or 3")
        if channels == (1,):
            options["channels"] = 1
        if self.scales:
            scales = self.scales
        elif self.second_stage:
            scales = (4,) if theirs[self.second_stage[0]] in names else (2, 3)
        elif self.unshuffled:
            scales = tuple(s for s in (4, 2, 1) if taken == (channels[0] * (4 // s) ** 2,))
            if not scales:
                raise Misfit(
                    f"{theirs[self.ends[0]]} takes {taken} channels of {channels} unshuffled ones"
                )
        else:
            scales = (math.isqrt(outputs("tail") // channels[0]),)
        return Found(scales=scales, options=options)

    def list_names(self, names: Mapping[str, Any]) -> set[str]:
        """Returns the layers that a file must have, where it has those of `names`."""
        layers = self.list_layers(self.count_blocks(names))
        second = {name for name, ours in layers.items() if ours in self.second_stage}
        wanted = set(layers) if second & names.keys() else layers.keys() - second
        return wanted | self.means.keys()

    def choose_model(self, found: Found, scale: int) -> tuple[str, dict[str, Any]]:
        """Returns the model of the zoo that these options make, and the options that differ from its own."""
        for name in self.models:
            if scale in VARIANTS[name].scales:
                plain = VARIANTS[name].build(scale=scale)
                if all(getattr(plain, key) == value for key, value in found.options.items()):
                    return name, {}
        name = self.models[0]
        plain = create(name, scale=scale)
        return name, {k: v for k, v in found.options.items() if getattr(plain, k) != v}

    def convert(self, arrays: Arrays, module: nn.Module) -> dict[str, Any]:
        """Returns the parameters of `module` from `arrays`, collapsed.

        Raises:
          Misfit: names or shapes differ from the network's.
          InputError: some weights are not finite.
        """
        image = jnp.zeros((1, SAMPLE_SIDE, SAMPLE_SIDE, module.channels))
        shapes = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
        blocks = self.count_blocks(list_layers(arrays))
        self._check_means(arrays)
        own = self._list_own_layers(blocks, module.scale)
        others = {*self.means, *self.list_layers(blocks)} - own.keys()
        read = {name: a for name, a in arrays.items() if name.rpartition(".")[0] not in others}
        values = match_arrays(read, self.list_shapes(blocks, shapes, module.scale))
        params: dict[str, Any] = {}
        for name, ours in own.items():
            if (like := _find(shapes, ours)) is None:
                continue  # other scale factors have it
            kernel, bias = values[f"{name}.weight"], values.get(f"{name}.bias")
            if kernel.ndim == 4:
                kernel = self._scale(ours, to_hwio(kernel), kernel=True)
                bias = None if bias is None else self._scale(ours, bias, kernel=False)
                if ours in self.shuffled:
                    block = math.isqrt(kernel.shape[-1] // module.channels)
                    order = find_pixel_order(block, module.channels)
                    kernel, bias = kernel[..., order], None if bias is None else bias[order]
                if ours == "head" and self.unshuffled:
                    order = _find_unshuffled_order(4 // module.scale, module.channels)
                    kernel = kernel[:, :, order]
            _put(params, ours, like, kernel, bias)
        return params

    def list_shapes(
        self, blocks: int, params: Mapping[str, Any], scale: int
    ) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of their arrays by name, for parameters of ours with collapsed terms."""
        return {
            f"{name}.{part}": (1,) if "slope" in layer and self.slopes == "shared" else shape
            for name, ours in self._list_own_layers(blocks, scale).items()
            if (layer := _find(params, ours)) is not None
            for part, shape in _list_shapes(layer).items()
        }

    def _list_own_layers(self, blocks: int, scale: int) -> dict[str, str]:
        """Returns those of `list_layers` that a network of this scale factor has, without the factor."""
        split = {name: ours.partition("@") for name, ours in self.list_layers(blocks).items()}
        return {name: path for name, (path, _, own) in split.items() if own in ("", str(scale))}

    def _check_means(self, arrays: Arrays) -> None:
        """Checks that the layers of `means` do what our network does.

        Raises:
          Misfit: one of them has other weights.
        """
        for name, factor in self.means.items():
            kernel, bias = arrays.get(f"{name}.weight"), arrays.get(f"{name}.bias")
            plain = kernel is not None and np.array_equal(kernel.squeeze(), np.eye(3))
            if not plain or bias is None or not np.allclose(bias, factor * DIV2K_MEAN):
                raise Misfit(f"{name} does not add {factor:g} times the mean of DIV2K")

    def _scale(self, ours: str, values: np.ndarray, *, kernel: bool) -> np.ndarray:
        """Returns the kernel or bias of a layer of ours, for a network that takes and gives 1 for white."""
        factor = self.values[0] if kernel and ours == self.ends[0] else 1
        return values * np.float32(factor / (self.values[1] if ours == self.ends[1] else 1))


def _fill(name: str, **numbers: int) -> str:
    """Returns `name` with the numbers in the places of {i}, {n} and, for example, {2i+3}."""
    return _NUMBER.sub(
        lambda match: str(int(match[1] or 1) * numbers[match[2]] + int(match[3] or 0)), name
    )


def _find_unshuffled_order(block: int, channels: int) -> np.ndarray:
    """Returns the permutation of channels from PyTorch's pixel unshuffle to `ops.space_to_depth`."""
    order = np.arange(channels * block**2).reshape(channels, block, block)
    return order.transpose(1, 2, 0).ravel()


def list_layers(arrays: Mapping[str, Any]) -> dict[str, None]:
    """Returns the layers that the names of arrays belong to, in order: "c.0" for "c.0.weight"."""
    return dict.fromkeys(name.rpartition(".")[0] for name in arrays)


def _find(params: Mapping[str, Any], path: str) -> Any:
    """Returns the parameters of the layer at `path`, None where there is none."""
    found: Any = params
    for part in path.split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _list_shapes(layer: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of PyTorch's parameters of one of our layers."""
    if "slope" in layer:
        return {"weight": layer["slope"].shape}
    kernel, bias = _split(layer)
    height, width, inputs, outputs = kernel.shape
    shapes: dict[str, tuple[int, ...]] = {"weight": (outputs, inputs, height, width)}
    if bias is not None:
        shapes["bias"] = bias.shape
    return shapes


def _split(layer: Mapping[str, Any]) -> tuple[Any, Any]:
    """Returns kernel and bias of a layer, a term or a plain one."""
    if "term" in layer:
        return layer["term"].kernel, layer["term"].bias
    return layer["kernel"], layer.get("bias")


def _put(
    params: dict[str, Any], path: str, like: Mapping[str, Any], kernel: Any, bias: Any
) -> None:
    """Puts a layer into `params` in the structure of `like`."""
    *parents, last = path.split("/")
    for part in parents:
        params = params.setdefault(part, {})
    array = jnp.asarray(kernel)
    if "slope" in like:
        array = jnp.broadcast_to(array, like["slope"].shape)
    bias = None if bias is None else jnp.asarray(bias)
    if "slope" in like:
        params[last] = {"slope": array}
    elif "term" in like:
        params[last] = {"term": Conv(array, bias)}
    else:
        params[last] = {"kernel": array} | ({} if bias is None else {"bias": bias})
