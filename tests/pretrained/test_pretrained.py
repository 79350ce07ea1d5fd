import pytest

from sesr_jax.errors import InputError
from sesr_jax.pretrained import find_network, shipped


def test_every_shipped_file_is_what_its_name_says():
    for name in shipped():
        network = find_network(name)
        bare, _, form = name.partition(f"_x{network.scale}")
        assert bare == network.name
        assert form in ("", "_expanded", "_qat")
        assert (network.ranges is not None) == (form == "_qat")


@pytest.mark.parametrize("spec", ["sesr_m6_x2", "nowhere/at/all"])
def test_what_does_not_exist_is_named(spec):
    with pytest.raises(InputError, match="no trained network"):
        find_network(spec)
