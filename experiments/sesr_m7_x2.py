"""SESR-M7 ×2 as published (Bhardwaj et al., MLSys 2022): L1, AMSGrad at 5e-4, 300 epochs of 1600 steps.

    sesr train --config experiments/sesr_m7_x2.py --workdir runs/sesr_m7_x2 --config.data.train=FOLDER

The paper reports 32.91 dB on Set14. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m7", scale=2)
    return train.variant(config, variant)
