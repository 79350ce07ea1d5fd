"""Where candidates are trained: in this process, in others of this machine, or on a Ray cluster.

    with open_workers(config) as run_jobs:
        for name, result in run_jobs(train_candidate, {"a": job, "b": other}): ...

A job and its result are plain data. A worker of this machine that dies loses its jobs, which others then do;
they read the candidate's checkpoint where it has one. `search.cluster` has the workers of a Ray cluster.
"""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import pathlib
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool

import jax
import ml_collections
from jax.experimental.compilation_cache import compilation_cache

from sesr_jax.errors import InputError
from sesr_jax.files import make_folder
from sesr_jax.search.cluster import connect
from sesr_jax.search.jobs import Job, Results, RunJobs, Work

_DEATHS = 3
"""So often in a row workers may die before a search ends."""


@contextlib.contextmanager
def open_workers(config: ml_collections.ConfigDict) -> Iterator[RunJobs]:
    """Yields what does jobs, as `config.search` wants it, until the block ends.

    Raises:
      InputError: there is no Ray cluster, or none that can be used.
    """
    if config.search.ray:
        with connect(config.search.ray) as run:
            yield run
    else:
        yield functools.partial(run_jobs, workers=config.search.workers)


def run_jobs(work: Work, jobs: Mapping[str, Job], *, workers: int) -> Results:
    """Yields the name and the result of each job, as they come.

    Args:
      work: see `Work`.
      jobs: the jobs by name.
      workers: how many processes do jobs; 0 for this one.

    Raises:
      InputError: `work` raised it, or workers die again and again.
    """
    if not workers:
        for name, job in jobs.items():
            yield name, work(job)
        return
    left, deaths = dict(jobs), 0
    while left:
        # A forked process would share the threads of jax, which do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
            waiting = {pool.submit(work, job): name for name, job in left.items()}
            try:
                for done in concurrent.futures.as_completed(waiting):
                    result = done.result()
                    del left[waiting[done]]
                    deaths = 0
                    yield waiting[done], result
            except BrokenProcessPool as error:
                deaths += 1
                if deaths == _DEATHS:
                    raise InputError(
                        f"a worker died {deaths} times in a row: config.search.workers = {workers} must "
                        "leave each enough memory."
                    ) from error


_CACHE = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0.1,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@contextlib.contextmanager
def keep_programs(folder: pathlib.Path) -> Iterator[None]:
    """Lets this process and its workers keep compiled programs in `folder`, until the block ends.

    Candidates share many programs: those of equal shapes, and all of them when a search or a candidate goes
    on. Where jax already has a folder for them, nothing changes.
    """
    if getattr(jax.config, "jax_compilation_cache_dir"):  # noqa: B009  # its class names no settings
        yield
        return
    settings = {**_CACHE, "jax_compilation_cache_dir": str(make_folder(folder).resolve())}
    before = {name: getattr(jax.config, name) for name in settings}
    outside = {name.upper(): os.environ.get(name.upper()) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        for name, text in outside.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text
        compilation_cache.reset_cache()
