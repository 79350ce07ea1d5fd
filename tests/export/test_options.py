"""What an export can be asked for."""

import pytest

from sesr_jax.errors import InputError
from sesr_jax.export import Options


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"precision": "int4"}, "precision 'int4' is unknown: .*int8, int16"),
        ({"io": "int16"}, "io 'int16' is unknown"),
        ({"converter": "toco"}, "converter 'toco' is unknown"),
        ({"converter": "litert", "precision": "float16"}, "litert makes no float16 files"),
        ({"exclude": ("tail/*",), "precision": "float32"}, r"nothing to exclude tail/\* from"),
        ({"io": "uint8", "precision": "float32"}, "a file of float32 has no pixels of uint8"),
        ({"precision": "int16", "tail": "depth_to_space"}, "no DEPTH_TO_SPACE of 16 bits"),
    ],
)
def test_choices_that_do_not_exist_or_go_together_are_refused(
    choices: dict[str, str], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        Options(**choices)  # type: ignore[arg-type]
