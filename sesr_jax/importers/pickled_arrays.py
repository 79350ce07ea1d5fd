"""Reads the arrays of NumPy's and jax's pickled objects, without running anything that they name.

`numpy.savez` writes what is no array, such as a dict of jax arrays, as a pickle. The pickle is followed, not
run (`importers.pickles`): arrays are recognised by their names, and every other object is refused.

    read_npz("params.npz", read_objects=read_pickled_arrays)    # {"sesr/first5x5/conv2_d/w": array, …}
"""

import dataclasses
import re
from typing import Any, BinaryIO

import numpy as np

from sesr_jax.importers.pickles import PickleError, Unknown, follow

_MAKERS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
"""They make an empty array, which is filled by the state that follows."""

_JAX_MAKER = "jax._src.array._reconstruct_array"
"""It gets NumPy's maker, its arguments and its state, and then jax's own state, which has no values."""

_DTYPE = re.compile(r"[biuf][1248]|O8")
_MOST = 10_000
"""How many arrays and dicts a file may hold."""


@dataclasses.dataclass(eq=False)
class _Dtype:
    """A type of elements, whose byte order is told after it was made."""

    value: np.dtype[Any]


@dataclasses.dataclass(eq=False)
class _Array:
    """An array, whose values are told after it was made; for an array of objects, the list of these."""

    value: Any = None


def read_pickled_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """Returns the arrays of the pickled array at the current position of `file`.

    It must hold one dict of arrays or of further dicts. The arrays get the keys that lead to them as their
    name, with "/" between them.

    Raises:
      PickleError: the pickle is damaged, or holds something else.
    """
    array = follow(file, call=_call, set_state=_set_state)
    content = array.value if isinstance(array, _Array) else None
    if not (isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict)):
        raise PickleError("it holds other objects than one dict of arrays")
    arrays: dict[str, np.ndarray] = {}
    left, count = list(content[0].items()), len(content[0])
    while left:
        name, value = left.pop()
        found = value.value if isinstance(value, _Array) else value
        if isinstance(found, dict):
            count += len(found)
            if count > _MOST:  # a few dicts that hold each other would give any number of arrays
                raise PickleError(f"it holds more than {_MOST:,} arrays and dicts")
            left += [(f"{name}/{key}", inner) for key, inner in found.items()]
        elif isinstance(found, np.ndarray):
            arrays[name] = found
        else:
            held = found.name if isinstance(found, Unknown) else type(found).__name__
            raise PickleError(f"{name} is a {held}, not an array")
    return arrays


def _call(function: Any, args: Any) -> Any:
    """Returns what calling `function` with `args` would give, where that is an array or belongs to one."""
    name = function.name if isinstance(function, Unknown) else str(function)
    if name in _MAKERS:
        return _Array()
    if name == _JAX_MAKER:
        maker, maker_args, state, _ = args
        array = _call(maker, maker_args)
        _set_state(array, state)
        return array
    if name == "numpy.dtype" and _DTYPE.fullmatch(args[0]):
        return _Dtype(np.dtype(args[0]))
    return Unknown(name)


def _set_state(value: Any, state: Any) -> None:
    if isinstance(value, _Dtype):
        value.value = value.value.newbyteorder(state[1])
    elif isinstance(value, _Array):
        _, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, _Dtype):
            raise PickleError(f"an array has elements of the type {dtype}")
        if dtype.value.hasobject:
            value.value = data
        else:
            values = np.frombuffer(data, dtype.value)
            value.value = values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)
