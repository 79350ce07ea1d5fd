"""The winner of Mobile AI & AIM 2022, Z6 ×3, by the recipe of `abpn_x3`; its own is not public.

    sesr train --config experiments/z6_x3.py --workdir runs/z6_x3 --config.data.train=FOLDER
    sesr export --model runs/z6_x3 --out z6.tflite --io uint8

The challenge measured 30.03 dB for the INT8 file, on RGB. Variants, such as "cpu": `train.variant`; "qat" is
the second part alone.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="z6", scale=3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=1e-3, schedule="halving", period=200_000)
    config.steps = 1_000_000
    quantised = {"lr": 1e-4, "period": 50_000}
    config.stages = (train.stage(), train.stage("quantise", steps=200_000, optim=quantised))
    return train.variant(config, variant)
