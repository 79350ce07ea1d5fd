"""The network of mju_gogogo ×3 as the team trained it (Mobile AI 2021): L1, then L2 on its codes.

    sesr train --config experiments/mju_gogogo_x3.py --workdir runs/mju_gogogo_x3 --config.data.train=FOLDER
    sesr export --model runs/mju_gogogo_x3 --out mju_gogogo.tflite --io uint8

Adam, 750 epochs of L1, then 75 of L2. The report gives neither rate, crops, batch nor an epoch's length:
here those of `abpn_x3`, 1000 steps at 16 of 64×64, at a rate of 5e-4, and a tenth of it for the second part.
Its PSNR in the challenge is not known here. Variants, such as "cpu": `train.variant`; "qat" is the second
part alone.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="mju_gogogo", scale=3)
    config.data.update(patch=64, batch=16)
    config.optim.name = "adam"
    config.steps = 750_000
    quantised = {"loss": "l2", "optim": {"lr": 5e-5}}
    config.stages = (train.stage(), train.stage("quantise", steps=75_000, **quantised))
    return train.variant(config, variant)
