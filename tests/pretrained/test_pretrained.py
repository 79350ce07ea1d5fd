import pytest

from sesr_jax import pretrained
from sesr_jax.errors import InputError
from sesr_jax.files import read_safetensors
from sesr_jax.pretrained import find_network, list_shipped_files, read_facts


def test_every_shipped_file_is_what_its_facts_say():
    facts_of = {file: facts for facts in read_facts() for file in facts["files"]}
    assert facts_of.keys() == {f"{name}.safetensors" for name in list_shipped_files()}
    for file, facts in facts_of.items():
        assert "crc32" in read_safetensors(pretrained.__path__[0] + f"/{file}")[1]
        network = find_network(file.removesuffix(".safetensors"))
        assert (network.name, network.scale) == (facts["model"], facts["scale"])
        assert network.options == facts.get("options", {})
        assert (network.ranges is not None) == file.endswith("_qat.safetensors")


@pytest.mark.parametrize("spec", ["sesr_m6_x2", "nowhere/at/all"])
def test_what_does_not_exist_is_named(spec):
    with pytest.raises(InputError, match=spec):
        find_network(spec)


def test_a_name_that_is_nearly_right_is_put_right():
    with pytest.raises(InputError, match=r"'SESR_M5_X2'.* 'sesr_m5_x2'"):
        find_network("SESR_M5_X2")
