"""The networks of Real-ESRGAN, for photos that are compressed, noisy or blurred.

All of them upscale RGB.
"""

from sesr_jax.models.real import rrdbnet, srvggnet

FAMILIES = (rrdbnet, srvggnet)
"""The families, the larger networks first."""
