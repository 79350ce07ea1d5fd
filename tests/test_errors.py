import pytest

from sesr_jax.errors import InputError, look_up

_TABLE = {"dense": 1, "acnet": 2}


def test_an_entry_is_found_by_its_name():
    assert look_up("form", "acnet", _TABLE) == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [("acnot", "did you mean 'acnet'?"), ("xyz", "choose one."), (7, "choose one.")],
)
def test_another_name_is_refused_with_the_choices_and_the_nearest(name, hint):
    with pytest.raises(InputError) as refusal:
        look_up("form", name, _TABLE)
    assert str(refusal.value) == f"unknown form {name!r}: it must be one of dense, acnet; {hint}"
