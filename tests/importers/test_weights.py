"""`import_weights`: what it refuses before it reads."""

import pytest

from sesr_jax.errors import InputError
from sesr_jax.importers import import_weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "keras"}, "'keras'.* arm"),
        ({"source": "ecbsr"}, "ecbsr .*sesr_m3.*ECBSR"),
        ({"source": "aimet", "reading": "released"}, "aimet .*'released'"),
        ({"reading": "both"}, "'both'"),
        ({"model": "sesr_m4"}, "'sesr_m4'"),
        ({"scale": 5}, "×5"),
        ({}, r"w\.safetensors"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    call = {"source": "arm", "model": "sesr_m3", "scale": 2, **arguments}
    with pytest.raises(InputError, match=message):
        import_weights(call.pop("source"), tmp_path / "w.safetensors", **call)
