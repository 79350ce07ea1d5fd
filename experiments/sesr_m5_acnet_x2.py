"""SESR-M5 ×2 with ACNet's asymmetric branches, then fine-tuned as plain 3×3, after AiriA_CG (AIM 2020).

    sesr train --config experiments/sesr_m5_acnet_x2.py --workdir runs/sesr_m5_acnet_x2 \
        --config.data.train=FOLDER

The branches train as sesr_m5_x2 does, in the same time; then they collapse, and the one kernel that is left
learns on under L2, at a lower rate, on crops of twice the side (AiriA_CG: HR crops of 640, a rate of 1e-6).
The images must hold HR crops of 256. There is no published figure for SESR: sesr_m5_x2 is what to compare
with. `stages.html` in the run's folder shows what each stage brought. Variants: `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=2, options={"form": "acnet"})
    fine = {"loss": "l2", "optim": {"lr": 1e-5}, "data": {"patch": 128, "batch": 16}}
    config.stages = (train.stage(), train.stage("collapse", steps=80_000, **fine))
    return train.variant(config, variant)
