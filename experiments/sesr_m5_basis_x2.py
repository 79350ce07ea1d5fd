"""SESR-M5 ×2 trained on kernel bases, as UESTC-MediaLab trained its network (AIM 2020, arXiv:2009.06943).

    sesr train --config experiments/sesr_m5_basis_x2.py --workdir runs/sesr_m5_basis_x2 \
        --config.data.train=FOLDER

Every convolution is a weighted sum of 3 kernels, then of 5, then of 7; one is left after training. The
report gives neither the number of stages nor their lengths: here they share the 480 000 steps of
sesr_m5_x2, which take as long as there, for the network that runs is the same. It gives no figure for SESR
either: sesr_m5_x2 is what to compare with. New kernels enter with weight 0; as published, all weights become
equal instead, and the function jumps: --config.stages[1].preserve=False --config.stages[2].preserve=False.
`stages.html` in the run's folder shows what each stage brought. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=2, options={"form": "kernel_basis"})
    config.steps = 160_000
    # A new kernel's moments begin at zero beside the old ones' count: its first steps are large.
    grown = {"added": 2, "preserve": True, "optim": {"warmup": 1_000}}
    config.stages = (train.stage(), *(train.stage("grow_basis", **grown) for _ in range(2)))
    return train.variant(config, variant)
