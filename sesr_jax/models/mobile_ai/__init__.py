"""The networks of the Mobile AI challenges of 2021 and 2022: RGB, at their one scale."""

from sesr_jax.models.mobile_ai import abpn, along, embededai, mju_gogogo, tinysrnet, xlsr, z6

FAMILIES = (xlsr, abpn, tinysrnet, along, embededai, mju_gogogo, z6)
"""The families in the order of their ranks in 2021, and then in 2022."""
