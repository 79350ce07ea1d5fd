"""What files say is checked against types."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from sesr_jax.errors import InputError
from sesr_jax.schema import POSITIVE, build, show


@dataclasses.dataclass(frozen=True)
class _Inner:
    step: Annotated[int, POSITIVE]
    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class _Outer:
    kind: Literal["a", "b"]
    inner: _Inner
    sizes: tuple[int, ...] = ()
    pair: tuple[int, float] | None = None
    named: Mapping[str, float] = dataclasses.field(default_factory=dict)
    rest: Any = None


def test_tables_become_dataclasses_and_lists_tuples():
    told = {"kind": "a", "inner": {"step": 1}, "sizes": [1, 2], "pair": [1, 2], "named": {"x": 1}}
    found = build(_Outer, told, "f")
    assert found == _Outer("a", _Inner(1), (1, 2), (1, 2.0), {"x": 1.0})
    assert type(found.pair[1]) is float
    assert build(_Outer, {**told, "unknown": 3}, "f") == found
    with pytest.raises(InputError, match=r"^f\.unknown is no key; "):
        build(_Outer, {**told, "unknown": 3}, "f", closed="key")
    assert build(_Outer, {**told, "pair": None}, "f").pair is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "c"}, r"^f\.kind is 'c'; it must be one of 'a', 'b'\.$"),
        ({"kind": ["a"]}, r"^f\.kind is \['a'\]"),
        ({"inner": None}, r"^f\.inner is None"),
        ({"inner": []}, r"^f\.inner is \[\]"),
        ({"inner": {}}, r"^f\.inner\.step is missing\.$"),
        ({"inner": {"step": True}}, r"^f\.inner\.step is True, which is no int\.$"),
        ({"inner": {"step": 1.0}}, r"^f\.inner\.step is 1\.0"),
        ({"inner": {"step": "1"}}, r"^f\.inner\.step is '1'"),
        ({"inner": {"step": 0}}, r"^f\.inner\.step is 0; it must be above 0\.$"),
        ({"inner": {"step": 1 << 70}}, r"^f\.inner\.step is 1180591620717411303424"),
        ({"inner": {"step": 1, "rate": float("nan")}}, r"^f\.inner\.rate is nan"),
        ({"inner": {"step": 1, "rate": 10**400}}, r"^f\.inner\.rate is 1000"),
        ({"sizes": "ab"}, r"^f\.sizes is 'ab'"),
        ({"sizes": [1, "x"]}, r"^f\.sizes is 'x'"),
        ({"pair": [1]}, r"^f\.pair is \[1\]"),
        ({"named": [1]}, r"^f\.named is \[1\]"),
        ({"named": {"x": "y"}}, r"^f\.named\.x is 'y'"),
        ({"named": {"x": list(range(10_000))}}, r"a list of 10000"),
    ],
    ids=str,
)
def test_other_values_are_refused_by_their_place(change, said):
    with pytest.raises(InputError, match=said) as refused:
        build(_Outer, {"kind": "a", "inner": {"step": 1}, **change}, "f")
    assert len(str(refused.value)) < 200


def test_long_values_are_cut():
    assert len(show("x" * 10_000)) == 80
    assert show([1]) == "[1]"
