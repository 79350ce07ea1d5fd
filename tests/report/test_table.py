import pytest

from sesr_jax.errors import InputError
from sesr_jax.report import format_table


def test_alignment_is_as_told_and_no_line_ends_in_blanks():
    text = format_table([["a", "b"]], header=["long name", "other name"], align="><")
    assert text.splitlines()[2] == "        a  b"


def test_a_table_without_rows_is_its_header():
    assert format_table([], header=["a"]).splitlines() == ["a", "-"]


def test_an_alignment_of_another_length_is_refused():
    with pytest.raises(InputError, match="columns"):
        format_table([["a", "b"]], header=["one", "two"], align="<")
