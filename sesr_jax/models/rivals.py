"""Published figures of networks that are not in the zoo; `models.published` names the sources."""

from sesr_jax.models.published import Published, read_rows
from sesr_jax.models.registry import VARIANTS

_SESR = """
model       scale  params   MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
bicubic         2       -      - 33.68/0.9307 30.24/0.8693 29.56/0.8439 26.88/0.8408 30.82/0.9349 32.45/0.9043
TPSR-NoGAN      2   60     14.0  37.38/0.9583 33.00/0.9123 31.75/0.8942 30.61/0.9119 -            -
bicubic         4       -      - 28.43/0.8113 26.00/0.7025 25.96/0.6682 23.14/0.6577 24.90/0.7855 28.10/0.7745
TPSR-NoGAN      4   61      3.6  31.10/0.8779 27.95/0.7663 27.15/0.7214 24.97/0.7456 -            -
VDSR            4  665    612.6  31.35/0.8838 28.02/0.7678 27.29/0.7252 25.18/0.7525 28.82/0.8860 29.82/0.8240
LapSRN          4  813    149.4  31.54/0.8850 28.19/0.7720 27.32/0.7280 25.21/0.7560 29.09/0.8900 29.88/0.8250
BTSRN           4  410    165.2  31.85/-      28.20/-      27.47/-      25.74/-      -            -
CARN-M          4  412     32.5  31.92/0.8903 28.42/0.7762 27.44/0.7304 25.62/0.7694 -            -
"""

_FALSR = """
model       scale  params     MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
SRCNN           2      57     52.7 36.66/0.9542 32.42/0.9063 31.36/0.8879 29.50/0.8946 -        -
MoreMNAS-C      2      25      5.5 37.06/0.9561 32.75/0.9094 31.50/0.8904 29.92/0.9023 -        -
VDSR            2     665    612.6 37.53/0.9587 33.03/0.9124 31.90/0.8960 30.76/0.9140 -        -
DRCN            2    1774  17974.3 37.63/0.9588 33.04/0.9118 31.85/0.8942 30.75/0.9133 -        -
CNF             2     337    311.0 37.66/0.9590 33.38/0.9136 31.91/0.8962 -            -        -
LapSRN          2     813     29.9 37.52/0.9590 33.08/0.9130 31.80/0.8950 30.41/0.9100 -        -
DRRN            2     297   6796.9 37.74/0.9591 33.23/0.9136 32.05/0.8973 31.23/0.9188 -        -
BTSRN           2     410    207.7 37.75/-      33.20/-      32.05/-      31.63/-      -        -
MemNet          2     677   2662.4 37.78/0.9597 33.28/0.9142 32.08/0.8978 31.31/0.9195 -        -
SelNet          2     974    225.7 37.89/0.9598 33.61/0.9160 32.08/0.8984 -            -        -
CARN            2    1592    222.8 37.76/0.9590 33.52/0.9166 32.09/0.8978 31.92/0.9256 -        -
CARN-M          2     412     91.2 37.53/0.9583 33.26/0.9141 31.92/0.8960 31.23/0.9194 -        -
MoreMNAS-A      2    1039    238.6 37.63/0.9584 33.23/0.9138 31.95/0.8961 31.24/0.9187 -        -
MoreMNAS-B      2    1118    256.9 37.58/0.9584 33.22/0.9135 31.91/0.8959 31.14/0.9175 -        -
MoreMNAS-D      2     664    152.4 37.57/0.9584 33.25/0.9142 31.94/0.8966 31.25/0.9191 -        -
"""

_IMDN = """
model         scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
EDSR-baseline     2   1370    - 37.99/0.9604 33.57/0.9175 32.16/0.8994 31.98/0.9272 38.54/0.9769 -
"""


def list_rivals(scale: int) -> dict[str, Published]:
    """Returns the published figures of all models for `scale` by name, those of the zoo included."""
    figures = [row for variant in VARIANTS.values() for row in variant.figures]
    for source, table in (("SESR", _SESR), ("FALSR", _FALSR), ("IMDN", _IMDN)):
        figures += read_rows(source, table)
    return {row.model: row for row in figures if row.scale == scale}
