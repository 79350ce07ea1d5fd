import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import reparam
from sesr_jax.errors import InputError
from sesr_jax.reparam import Basis, Conv, Identity, Scale, Sequential, Sum, Term, packing
from sesr_jax.reparam.packing import pack, unpack

_TREE = {
    "a": {
        "term": Sum(
            (
                Identity(2),
                Sequential(
                    (Conv(jnp.ones((2, 2, 2, 3)), None, (1, 0)), Conv(jnp.ones((1, 1, 3, 2))))
                ),
            )
        )
    },
    "b": {
        "term": Basis(jnp.ones((2, 3, 3, 2, 2)), jnp.arange(2.0), jnp.ones(2)),
        "slope": jnp.ones(4),
    },
    "c": Scale(jnp.arange(3.0)),
}


def test_round_trip_through_json():
    arrays, skeleton = pack(_TREE)
    back = unpack(arrays, json.loads(json.dumps(skeleton)))
    assert jax.tree.structure(back) == jax.tree.structure(_TREE)
    jax.tree.map(np.testing.assert_array_equal, back, _TREE)


def test_lists_come_back_as_tuples():
    arrays, skeleton = pack({"a": Sequential([Scale(jnp.arange(3.0))]), "b": [jnp.ones(2)]})
    back = unpack(arrays, json.loads(json.dumps(skeleton)))
    want = {"a": Sequential((Scale(jnp.arange(3.0)),)), "b": (jnp.ones(2),)}
    assert jax.tree.structure(back) == jax.tree.structure(want)
    jax.tree.map(np.testing.assert_array_equal, back, want)


def test_every_term_has_a_name_in_files():
    terms = [t for t in Term.__subclasses__() if t.__module__.startswith(reparam.__name__)]
    assert {t.__name__ for t in terms} == packing.TERMS.keys()
    assert all(getattr(reparam, t.__name__) is t for t in terms)


def test_a_missing_array_is_named():
    arrays, skeleton = pack(_TREE)
    del arrays["b/slope"]
    with pytest.raises(InputError, match="b/slope"):
        unpack(arrays, skeleton)


def test_an_unknown_term_is_named():
    with pytest.raises(InputError, match="Mystery"):
        unpack({}, {"term": "Mystery", "fields": {}})
