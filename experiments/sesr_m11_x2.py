"""SESR-M11 ×2 as published (Bhardwaj et al., MLSys 2022): L1, AMSGrad at 5e-4, 300 epochs of 1600 steps.

    sesr train --config experiments/sesr_m11_x2.py --workdir runs/sesr_m11_x2 --config.data.train=FOLDER

The paper reports 33.03 dB on Set14. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m11", scale=2)
    return train.variant(config, variant)
