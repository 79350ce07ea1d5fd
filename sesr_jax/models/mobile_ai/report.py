"""The reports of the challenges, in which several teams' networks are described."""

REPORT_2021 = "Ignatov et al., Mobile AI 2021 Challenge: Report, arXiv:2105.07825"
REPORT_2022 = "Ignatov et al., Mobile AI & AIM 2022 Challenge: Report, arXiv:2211.05910"
