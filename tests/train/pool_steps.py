"""Steps on a pool, as a run of one stage has them."""

from sesr_jax.data import PoolFeed
from sesr_jax.train import make_supervised
from sesr_jax.train.steps import compile_steps


def compile_for_pool(module, config, pool, *, seed=None):
    """Returns a supervised trainer's compiled steps on `pool`, as `steps.compile_steps`."""
    feed = PoolFeed(
        pool=pool,
        batch=config.data.batch,
        channels=module.channels,
        intensities=tuple(config.data.intensities),
    )
    return compile_steps(
        make_supervised(module, config),
        feed,
        seed=config.seed if seed is None else seed,
        per_call=config.steps_per_call,
    )
