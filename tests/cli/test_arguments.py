"""What the verbs' parsers share."""

import dataclasses

from sesr_jax.cli import arguments
from sesr_jax.export import Options


def test_the_help_of_an_option_is_its_docstring():
    help_of = arguments.read_attributes(Options)
    assert set(help_of) == {field.name for field in dataclasses.fields(Options)}
    assert help_of["clip"] == "whether an operator of its own limits the output to [0, 1]"
    assert all("\n" not in text and "  " not in text for text in help_of.values())


def test_a_class_without_attributes_has_no_help():
    assert arguments.read_attributes(int) == {}
