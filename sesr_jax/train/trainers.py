"""The trainers that a config can ask for, by ``config.trainer``.

    trainer = make_trainer(net.module, config)

A trainer of another kind is a module with a class that fulfils `Trainer` and a function that makes it from a
config, and a line of `TRAINERS`. Nothing else knows what is in its state.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import ml_collections
from flax import linen as nn

from sesr_jax.errors import look_up
from sesr_jax.train.adversarial import make_adversarial
from sesr_jax.train.supervised import make_supervised
from sesr_jax.train.trainer import Trainer


class MakeTrainer(Protocol):
    """Makes a trainer from a network and the settings of a stage."""

    def __call__(
        self, module: nn.Module, config: ml_collections.ConfigDict, *, files: bool = True
    ) -> Trainer[Any]:
        """Without `files` it reads none that the config names, and the trainer makes states alone."""
        ...


TRAINERS: Mapping[str, MakeTrainer] = {
    "supervised": make_supervised,
    "adversarial": make_adversarial,
}
"""By name."""


def make_trainer(
    module: nn.Module, config: ml_collections.ConfigDict, *, files: bool = True
) -> Trainer[Any]:
    """Returns the trainer ``config.trainer``.

    Args:
      module: the network.
      config: as `train.config.base`; the settings of one stage.
      files: whether files that the config names are read, such as a teacher; without, the trainer makes
        states and does not update them.

    Raises:
      InputError: there is no such trainer, or what it refuses.
    """
    return look_up("config.trainer", config.trainer, TRAINERS)(module, config, files=files)
