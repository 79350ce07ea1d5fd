"""SESR-M5 ×2 with every form of the table: what a convolution trains as, all else equal.

    sesr ablate --config experiments/ablations/forms.py --workdir runs/forms --config.data.train=FOLDER

A tenth of the published training, 5 seeds a form; an accelerator trains the seeds together. Variants:
"cpu" is a short training on embedded photos, a minute or a few a form on two cores but for "orepa", which
takes more than half an hour; README.md beside this file has its table. "smoke" is a few steps of two forms.

"dense" is the plain network ("VGG" in the paper's comparison), "collapsible" without short residuals is
an ExpandNet of SESR's block, "collapsible+residual" is SESR. Forms with an identity of their own, such as
"repvgg", stand without a second one.
"""

from sesr_jax.errors import InputError
from sesr_jax.reparam import FORMS
from sesr_jax.train.ablation import base_ablation


def get_config(variant: str = "paper"):
    config = base_ablation()
    config.model.update(name="sesr_m5", scale=2)
    config.conditions = ("collapsible+residual", "dense+residual", *FORMS)
    if variant == "paper":
        config.seeds = 5
        config.update(steps=48_000)
    elif variant == "cpu":
        config.data.update(patch=24, batch=8)
        config.optim.update(lr=1e-3, schedule="cosine")
        config.update(steps=1500, steps_per_call=50, eval_every=1500, checkpoint_every=1500)
    elif variant == "smoke":
        config.seeds = 2
        config.conditions = ("dense", "collapsible+residual")
        config.data.update(patch=16, batch=4)
        config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    else:
        raise InputError(
            f"unknown variant {variant!r}: it must be one of paper, cpu, smoke; "
            "write it behind the config's colon."
        )
    return config
