"""Files of arrays are read whole or refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.files import read_safetensors


def test_safetensors_are_read_whole_or_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.arange(3)}, path, {"made": "here"})
    arrays, metadata = read_safetensors(path)
    np.testing.assert_array_equal(arrays["a"], np.arange(3))
    assert (arrays.keys(), metadata) == ({"a"}, {"made": "here"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"w\.safetensors"):
        read_safetensors(path)
