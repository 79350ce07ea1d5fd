"""SESR-M5 ×3 by the recipe of ×2; the paper has no ×3.

    sesr train --config experiments/sesr_m5_x3.py --workdir runs/sesr_m5_x3 --config.data.train=FOLDER

Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=3)
    return train.variant(config, variant)
