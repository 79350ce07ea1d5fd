"""The score of the Mobile AI challenges: ×3, RGB, INT8, 640×360 to 1920×1080, quality against time.

    score(29.58, 44.85)                      # the winner of 2021
    equal_time(29.58, 44.85, other=28.26)    # ms in which bicubic interpolation would score as much

Half a decibel is worth a factor of two in time. The reports print the formula and not its constant:
`CONSTANTS` are those that give the printed scores back, to 0.1 % for 2021.
"""

from collections.abc import Mapping

from sesr_jax.errors import InputError, look_up

SCALE = 3
FRAME = (360, 640)
"""(height, width) of the input that is timed."""

CONSTANTS: Mapping[str, float] = {"2021": 2.815e14, "2022": 2.82e15}
"""C by edition, for times in ms (Ignatov et al., arXiv:2105.07825 and 2211.05910)."""


def score(psnr: float, milliseconds: float, edition: str = "2021") -> float:
    """2^(2 · PSNR) / (C · time), for a PSNR in dB on RGB.

    Raises:
      InputError: the edition is unknown, or the time is not positive.
    """
    if not milliseconds > 0:
        raise InputError(f"a time of {milliseconds:g} ms: it must be positive; measure it again.")
    return 2 ** (2 * psnr) / (look_up("edition", edition, CONSTANTS) * milliseconds)


def equal_time(psnr: float, milliseconds: float, other: float) -> float:
    """The milliseconds in which a PSNR of `other` has the same score."""
    return milliseconds * 2 ** (2 * (other - psnr))
