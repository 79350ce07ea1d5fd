"""ABPN ×3 as MCG trained it (Du et al., CVPR Workshops 2021), quantisation-aware training included.

    sesr train --config experiments/abpn_x3.py --workdir runs/abpn_x3 --config.data.train=FOLDER
    sesr export --model runs/abpn_x3 --out abpn.tflite --io uint8

L1, Adam at 1e-3, halved every 200 of 1000 epochs of 1000 steps, batch 16 of 64×64; then 200 epochs on what
the codes compute, from 1e-4, halved every 50. The authors report 30.22 dB in float and 30.15 dB in INT8 on
DIV2K, on RGB. Variants, such as "cpu": `train.variant`; "qat" is the second part alone.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="abpn", scale=3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=1e-3, schedule="halving", period=200_000)
    config.steps = 1_000_000
    quantised = {"lr": 1e-4, "period": 50_000}
    config.stages = (train.stage(), train.stage("quantise", steps=200_000, optim=quantised))
    return train.variant(config, variant)
