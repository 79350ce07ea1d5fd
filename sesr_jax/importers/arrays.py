"""Reads weight files of other projects as {name: array}, without running any code that they hold.

    arrays = read_arrays("model_x2.pt")
    match_arrays(arrays, {"head.weight": (16, 1, 5, 5)})    # raises Misfit where names or shapes differ

Files of safetensors, NumPy and PyTorch need no other package. TensorFlow's need tensorflow, which is imported
when such a file is read.
"""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sesr_jax.errors import InputError, require_extra
from sesr_jax.files import read_safetensors
from sesr_jax.importers.ncnn import SUFFIXES as NCNN_SUFFIXES
from sesr_jax.importers.ncnn import read_ncnn
from sesr_jax.importers.pickled_arrays import read_pickled_arrays
from sesr_jax.importers.pickles import Unknown
from sesr_jax.importers.torch_files import ZIP_MAGIC, Tensor, read_torch
from sesr_jax.untrusted import check_regular, read_npz, refuse_damaged

Arrays = Mapping[str, np.ndarray]

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
"""The keys under which training scripts put a network's arrays when they store other things beside them.

BasicSR stores the averaged weights as "params_ema", which are those that it measures.
"""

_TORCH_SUFFIXES = (".pt", ".pth", ".tar")
"""The suffixes of PyTorch's files; ".pth.tar" is one."""

SUFFIXES = (*_TORCH_SUFFIXES, *NCNN_SUFFIXES)
"""The suffixes of files that other projects alone write."""

_NAMED = 3
"""How many names an error lists."""


class Misfit(Exception):  # noqa: N818 - `import_weights` turns it into an error with the file's name
    """The names or shapes in a file differ from those of the network; the message lists them."""


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of a file, by the names that the file gives them.

    | what `path` is | needs |
    |---|---|
    | .safetensors | |
    | .npz: arrays, or a pickled dict of dicts of arrays, as of Haiku's parameters | |
    | .param or .bin of ncnn: Real-ESRGAN's networks, under PyTorch's names | |
    | .pt, .pth or .pth.tar: a PyTorch state dict, bare or under a usual key such as "state_dict" | |
    | a TensorFlow checkpoint: its prefix, its .index, or the folder that holds its only .index | tensorflow |

    Raises:
      InputError: there is no such file, it is damaged or of another kind, the package that reads it is
        not installed, or it holds pickled objects other than arrays, dicts, lists and numbers.
    """
    file = pathlib.Path(path)
    if prefix := _find_checkpoint(file):
        return _read_tensorflow(prefix)
    readers: dict[str, Callable[[pathlib.Path], dict[str, np.ndarray]]] = {
        ".safetensors": lambda file: read_safetensors(file)[0],
        ".npz": lambda file: read_npz(file, read_objects=read_pickled_arrays),
        **dict.fromkeys(_TORCH_SUFFIXES, _read_torch),
        **dict.fromkeys(NCNN_SUFFIXES, _read_ncnn),
    }
    check_regular(file)
    if file.suffix not in readers:
        raise InputError(
            f"{path} is of no known kind: it must be {', '.join(readers)} or a TensorFlow checkpoint."
        )
    return readers[file.suffix](file)


def match_arrays(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Returns `arrays` as float32, and checks that they have exactly the names and shapes of `shapes`.

    Raises:
      Misfit: names or shapes differ.
      InputError: some are not finite.
    """
    wrong = [
        f"{name} is {arrays[name].shape} and must be {shape}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape
    ]
    problems = {
        "missing": [name for name in shapes if name not in arrays],
        "unexpected": [name for name in arrays if name not in shapes],
        "ill-shaped": wrong,
    }
    if any(problems.values()):
        raise Misfit(
            "; ".join(f"{k}: {join_names(names)}" for k, names in problems.items() if names)
        )
    found = {name: np.asarray(arrays[name], np.float32) for name in shapes}
    if broken := [name for name, array in found.items() if not np.isfinite(array).all()]:
        raise InputError(f"{join_names(broken)}: all weights must be finite.")
    return found


def join_names(names: Sequence[Any]) -> str:
    """Returns the first three names for a message, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(map(str, names[:_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def _read_torch(file: pathlib.Path) -> dict[str, np.ndarray]:
    with refuse_damaged(f"{file} is no whole file of torch.save"):
        content = read_torch(file)
        for key in _WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
                break
        if not isinstance(content, dict) or not content:
            held = content.name if isinstance(content, Unknown) else type(content).__name__
            raise InputError(f"{file} holds a {held}: it must hold model.state_dict().")
        if others := [name for name, value in content.items() if not isinstance(value, Tensor)]:
            raise InputError(
                f"{file} holds no state dict, since {join_names(others)} are no tensors: it must hold "
                "model.state_dict()."
            )
        # Data-parallel training puts a prefix before every name.
        return {
            str(name).removeprefix("module."): tensor.read().astype(np.float32)
            for name, tensor in content.items()
        }


def _read_ncnn(file: pathlib.Path) -> dict[str, np.ndarray]:
    with file.open("rb") as content:
        is_torch = file.suffix == ".bin" and content.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    return _read_torch(file) if is_torch else read_ncnn(file)


def _find_checkpoint(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the prefix of the TensorFlow checkpoint that `path` names, if it names one."""
    if path.is_dir():
        indices = list(path.glob("*.index"))
        return indices[0].with_suffix("") if len(indices) == 1 else None
    if path.suffix == ".index" and path.is_file():
        return path.with_suffix("")
    return path if path.with_name(path.name + ".index").is_file() else None


def _read_tensorflow(prefix: pathlib.Path) -> dict[str, np.ndarray]:
    with require_extra("export", f"reading {prefix}"):
        import tensorflow
    with refuse_damaged(f"{prefix} is no whole TensorFlow checkpoint of an .index and .data files"):
        reader = tensorflow.train.load_checkpoint(str(prefix))
        return {
            name.removesuffix(_VALUE): np.asarray(reader.get_tensor(name))
            for name in reader.get_variable_to_shape_map()
            if name.endswith(_VALUE) and ".OPTIMIZER_SLOT" not in name
        }
