"""Training: `train` by a config and a folder, or `fit` by hand, as in a notebook.

    net = network.init("sesr_m5", scale=2, key=jax.random.key(0))
    config = base()                                         # the settings of trainer and feed
    images = open_source("embedded:train", scale=2)
    read_feed = plan_feed(images, scale=2, channels=1, patch=32, batch=16)
    trainer = make_trainer(net.module, config)              # or any other `Trainer`
    evaluate = NetworkEvaluator(net, open_source("embedded:eval", scale=2))
    stage = Stage(trainer=trainer, read_feed=read_feed, steps=2_000, steps_per_call=100,
                  eval_every=500, evaluate=evaluate)
    state = fit([stage], lambda: trainer.init(net.variables), report=print)
    trained = dataclasses.replace(net, variables=trainer.get_deployed(state)).collapse()

A feed gives a step its crops (`data.feed`), a loss measures what a network made of them (`train.losses`), a
trainer turns them into new state (`train.trainer`), a stage has an entry that transforms the state
(`train.entries`), and `fit` is the one loop that runs them, logs metrics, saves checkpoints and evaluates.
"""

from sesr_jax.train.adversarial import (
    Adversarial,
    AdversarialState,
    LossWeights,
    make_adversarial,
)
from sesr_jax.train.checkpoint import load_network
from sesr_jax.train.config import base, stage
from sesr_jax.train.critics import UNetCritic
from sesr_jax.train.fit import DivergedError, Stage, fit
from sesr_jax.train.history import History, PastRun, read_history
from sesr_jax.train.log import read_log
from sesr_jax.train.perceptual import read_vgg
from sesr_jax.train.run import Run, open_run
from sesr_jax.train.supervised import Supervised, make_supervised
from sesr_jax.train.trainer import Loss, Metrics, Trainer, mean_over_devices
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.training import EXPANDED, WEIGHTS, train
from sesr_jax.train.variants import apply_variant

__all__ = [
    "EXPANDED",
    "WEIGHTS",
    "Adversarial",
    "AdversarialState",
    "DivergedError",
    "History",
    "Loss",
    "LossWeights",
    "Metrics",
    "PastRun",
    "Run",
    "Stage",
    "Supervised",
    "Trainer",
    "UNetCritic",
    "apply_variant",
    "base",
    "fit",
    "load_network",
    "make_adversarial",
    "make_supervised",
    "make_trainer",
    "mean_over_devices",
    "open_run",
    "read_history",
    "read_log",
    "read_vgg",
    "stage",
    "train",
]
