"""SESR-M5 ×2 with one form in the place of its collapsible linear blocks: here ECB (Zhang et al. 2021).

    sesr train --config experiments/sesr_m5_form_x2.py --workdir runs/sesr_m5_form_x2 \
        --config.data.train=FOLDER --config.model.options.form=kernel_basis

Any name in `reparam.FORMS` does. The short residuals are SESR's own and left out;
--config.model.options.short_residual=True brings them back. There is no published figure: sesr_m5_x2 is
what to compare with. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=2, options={"form": "ecb", "short_residual": False})
    return train.variant(config, variant)
