"""Published figures: those of the zoo's networks, and those of others, whose tables stand here.

`models.published` names the sources.
"""

from sesr_jax.models.published import Published, read_rows
from sesr_jax.models.registry import VARIANTS

_SESR = """
model       scale  params   MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
bicubic         2       -      - 33.68/0.9307 30.24/0.8693 29.56/0.8439 26.88/0.8408 30.82/0.9349 32.45/0.9043
bicubic         4       -      - 28.43/0.8113 26.00/0.7025 25.96/0.6682 23.14/0.6577 24.90/0.7855 28.10/0.7745
"""

_FALSR = """
model       scale  params     MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
SRCNN           2      57     52.7 36.66/0.9542 32.42/0.9063 31.36/0.8879 29.50/0.8946 -        -
MoreMNAS-C      2      25      5.5 37.06/0.9561 32.75/0.9094 31.50/0.8904 29.92/0.9023 -        -
CNF             2     337    311.0 37.66/0.9590 33.38/0.9136 31.91/0.8962 -            -        -
DRRN            2     297   6796.9 37.74/0.9591 33.23/0.9136 32.05/0.8973 31.23/0.9188 -        -
SelNet          2     974    225.7 37.89/0.9598 33.61/0.9160 32.08/0.8984 -            -        -
MoreMNAS-A      2    1039    238.6 37.63/0.9584 33.23/0.9138 31.95/0.8961 31.24/0.9187 -        -
MoreMNAS-B      2    1118    256.9 37.58/0.9584 33.22/0.9135 31.91/0.8959 31.14/0.9175 -        -
MoreMNAS-D      2     664    152.4 37.57/0.9584 33.25/0.9142 31.94/0.8966 31.25/0.9191 -        -
"""

_IMDN = """
model         scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
EDSR-baseline     2   1370    - 37.99/0.9604 33.57/0.9175 32.16/0.8994 31.98/0.9272 38.54/0.9769 -
"""


def list_figures(scale: int) -> dict[str, Published]:
    """Returns the published figures of all models for `scale` by name, those of the zoo included."""
    figures = [row for variant in VARIANTS.values() for row in variant.figures]
    for source, table in (("SESR", _SESR), ("FALSR", _FALSR), ("IMDN", _IMDN)):
        figures += read_rows(source, table)
    return {row.model: row for row in figures if row.scale == scale}
