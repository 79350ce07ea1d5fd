"""Plain tables for the terminal, and Markdown's.

print(format_table([["sesr_m5", "37.39"]], header=["model", "PSNR"], align="<>"))
"""

from collections.abc import Sequence

from sesr_jax.errors import InputError


def format_table(
    rows: Sequence[Sequence[object]], header: Sequence[str], align: str | None = None
) -> str:
    """Returns columns two spaces apart under a ruled header; no line ends in blanks.

    Args:
      rows: the cells, which are shown by `str`: format numbers before.
      header: one name per column.
      align: "<" or ">" for each column; by default the first is left and the others right.

    Raises:
      InputError: a row or `align` has another number of columns than the header.
    """
    align = align if align is not None else ("<" + ">" * len(header))[: len(header)]
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    for line in [align, *lines]:
        if len(line) != len(header):
            raise InputError(
                f"{line!r} has {len(line)} columns where the header has {len(header)}; "
                "give one for each."
            )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def format_markdown_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Returns a table of Markdown, in which the bars inside cells are escaped."""
    lines = [list(header), ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines
    )
