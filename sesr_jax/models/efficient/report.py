"""The reports of the challenges, in which several teams' networks are described."""

AIM_2019 = "Zhang et al., AIM 2019 Challenge on Constrained Super-Resolution, ICCV Workshops 2019"
AIM_2020 = "Zhang et al., AIM 2020 Challenge on Efficient Super-Resolution, arXiv:2009.06943"
NTIRE_2022 = "Li et al., NTIRE 2022 Challenge on Efficient Super-Resolution, arXiv:2205.05675"
NTIRE_2024 = "Ren et al., The Ninth NTIRE 2024 Efficient Super-Resolution Challenge Report"
NTIRE_2026 = "NTIRE 2026 Challenge on Efficient Super-Resolution, arXiv:2604.03198"
