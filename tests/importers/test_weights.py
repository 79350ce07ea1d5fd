"""`import_weights`: what it refuses before it reads."""

import pytest

from sesr_jax.errors import InputError
from sesr_jax.importers import import_weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "keras"}, "unknown source 'keras': it must be one of arm"),
        ({"source": "ecbsr"}, "ecbsr holds no sesr_m3.*family ECBSR"),
        ({"source": "aimet", "reading": "released"}, "of Arm's linear blocks, not of aimet"),
        ({"reading": "both"}, "unknown reading 'both'"),
        ({"model": "sesr_m4"}, "unknown model 'sesr_m4'"),
        ({"scale": 5}, "×5"),
        ({}, "no such file"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    call = {"source": "arm", "model": "sesr_m3", "scale": 2, **arguments}
    with pytest.raises(InputError, match=message):
        import_weights(call.pop("source"), tmp_path / "w.safetensors", **call)
