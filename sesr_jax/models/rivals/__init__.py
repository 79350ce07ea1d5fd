"""The networks that SESR's tables compare it with, from VDSR (2016) to TPSR (2020).

Those of luma enlarge the image bicubically first, but for LapSRN; the others work on RGB. A file says where
the tables print other costs than ours.
"""

from sesr_jax.models.rivals import btsrn, carn, drcn, lapsrn, memnet, tpsr, vdsr

FAMILIES = (vdsr, drcn, lapsrn, btsrn, memnet, carn, tpsr)
"""The families by year."""
