"""TinySRNet ×3 as Noah_TerminalVision trained it (Mobile AI 2021), quantisation-aware training included.

    sesr train --config experiments/tinysrnet_x3.py --workdir runs/tinysrnet_x3 --config.data.train=FOLDER
    sesr export --model runs/tinysrnet_x3 --out tinysrnet.tflite --io uint8

L1, Adam from 5e-4 to 1e-6 in cycles of 200 000 steps, five of them. The report gives neither crops nor batch
(here 16 of 64×64), nor the shape of a cycle (a cosine), nor the length of the quantised part (one cycle,
from 5e-5). The challenge measured 29.41 dB for the INT8 file, on RGB. Variants, such as "cpu":
`train.variant`; "qat" is the second part alone.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="tinysrnet", scale=3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=5e-4, schedule="cyclic", period=200_000, final=0.002)
    config.steps = 1_000_000
    quantised = {"lr": 5e-5, "final": 0.02}
    config.stages = (train.stage(), train.stage("quantise", steps=200_000, optim=quantised))
    return train.variant(config, variant)
