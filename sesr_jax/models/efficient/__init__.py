"""The networks of the challenges on efficient super-resolution: AIM 2019 and 2020, NTIRE since 2022.

All of them upscale RGB.
"""

from sesr_jax.models.efficient import (
    efdn,
    imdn,
    latticenet,
    maffsrn,
    msrresnet,
    pan,
    rfdn,
    rlfn,
    span,
    spanv2,
    uestc,
)

FAMILIES = (msrresnet, imdn, rfdn, uestc, pan, latticenet, maffsrn, rlfn, efdn, span, spanv2)
"""The families in the order of their challenges, the baseline first."""
