"""Candidates on the machines of a Ray cluster.

    with connect("127.0.0.1:6379") as run_jobs:
        for name, result in run_jobs(train_candidate, {"a": job, "b": other}): ...

Ray decides which machine does which job, and gives the job of a worker that died to another one. Jobs travel
as parcels (`search.jobs`), so that the machines need no common folder but the images that a config names.
Nobody but Ray listens to the network here.
"""

import concurrent.futures
import contextlib
import functools
import importlib.metadata
import logging
import pathlib
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from sesr_jax import __version__
from sesr_jax.errors import InputError, Stopped, require_extra
from sesr_jax.search.config import parse_address
from sesr_jax.search.jobs import Job, Results, RunJobs, Work, pack, write_files

_DEATHS = 3
"""So often the worker of one job may die before a search ends."""

_CALLS = 16
"""So many jobs a worker does before a fresh one takes its place, since compiled programs stay in memory."""

_SECONDS = 5
"""So long a machine may take to accept a connection."""


@contextlib.contextmanager
def connect(address: str) -> Iterator[RunJobs]:
    """Connects to the Ray cluster at `address`, and yields what does jobs there, until the block ends.

    This machine must belong to the cluster. A job takes one of Ray's CPUs, and one of its GPUs where the
    cluster has some.

    Raises:
      InputError: Ray is not installed, or no cluster that can be used is there.
    """
    with require_extra("ray", f"config.search.ray = {address!r}"):
        import ray
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _find_cluster(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except InputError:
        raise
    except (ImportError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(
            f"config.search.ray is {address!r}, where no Ray cluster can be used ({error}): "
            "`ray start --head` starts one, and `ray status` describes it."
        ) from error
    finally:
        # Ray's own handler would end this process without a word.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)
    try:
        resources = ray.cluster_resources()
        if not resources.get("CPU"):
            raise InputError(
                f"the Ray cluster at {address} has no CPU: `ray start --num-cpus` must give one to a machine."
            )
        yield functools.partial(_run_jobs, _make_task(gpus=int(resources.get("GPU", 0) > 0)))
    finally:
        ray.shutdown()


def _find_cluster(address: str) -> None:
    """Checks that a cluster answers, which `ray.init` would try for many minutes.

    Raises:
      InputError: what the environment says in the place of "auto" is no address of a cluster.
      OSError: nobody listens there.
      RayError: somebody else does.
    """
    from ray import _raylet
    from ray._private.services import canonicalize_bootstrap_address

    untyped: Any = _raylet
    found = canonicalize_bootstrap_address(address)
    if found and (place := parse_address(found)):
        socket.create_connection(place, timeout=_SECONDS).close()
        untyped.GcsClient(address=found)


def _run_jobs(do: Any, work: Work, jobs: Mapping[str, Job]) -> Results:
    """Yields the name and the result of each job, as they come; its files are in its folder then.

    Args:
      do: what `_make_task` returned.
      work: see `Work`.
      jobs: the jobs by name.

    Raises:
      InputError: `work` raised it, a machine lacks this package or has other versions, or the worker of a job
        dies again and again.
    """
    import ray

    where = work.__module__, work.__qualname__
    # Within `ray.wait`, a signal's exception would be lost.
    waiting = {
        do.options(name=name).remote(*where, pack(job), get_versions()).future(): name
        for name, job in jobs.items()
    }
    while waiting:
        done, _ = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            name = waiting.pop(future)
            try:
                answer = future.result()
            except ray.exceptions.RayTaskError:  # `work` has a defect
                raise
            except ray.exceptions.RayError as error:
                raise InputError(
                    f"the worker of a candidate died {_DEATHS} times: `ray start --num-cpus` must give a "
                    "machine no more candidates at a time than its memory holds."
                ) from error
            if "refusal" in answer:
                raise InputError(answer["refusal"])
            write_files(pathlib.Path(jobs[name]["folder"]), answer["folder"])
            yield name, answer["result"]


def _make_task(*, gpus: int) -> Any:
    """Returns the task of Ray that does a job; its refusals name the machine.

    Ray sends a function of a module by its name, and a function within a function by its code. The latter can
    tell that the package is missing.

    Args:
      gpus: how many a job takes.
    """
    import ray

    def do(
        module: str, function: str, parcel: Mapping[str, Any], versions: Mapping[str, str]
    ) -> dict[str, Any]:
        import importlib
        import socket

        import ray

        here = f"on the Ray node {socket.gethostname()} ({ray.util.get_node_ip_address()})"
        rule = "all machines must have the same versions as the one with the search."
        try:
            from sesr_jax.search.cluster import get_versions
            from sesr_jax.search.jobs import do_parcel

            work = getattr(importlib.import_module(module), function)
        except ImportError as error:
            return {
                "refusal": f"{here}, sesr_jax {versions['sesr_jax']} is missing ({error}): {rule}"
            }
        for name, mine in get_versions().items():
            if mine != versions[name]:
                return {"refusal": f"{here}, {name} is {mine} and not {versions[name]}: {rule}"}
        answer = do_parcel(work, parcel)
        return {"refusal": f"{here}: {answer['refusal']}"} if "refusal" in answer else answer

    settings: dict[str, Any] = {
        "num_cpus": 1,
        "num_gpus": gpus,
        # jax gives back a GPU's memory when its process ends.
        "max_calls": 1 if gpus else _CALLS,
        "max_retries": _DEATHS - 1,
        # This is how a worker ends when Ray takes its machine out of the cluster.
        "retry_exceptions": [Stopped],
        "scheduling_strategy": "SPREAD",
    }
    return ray.remote(**settings)(do)


def get_versions() -> dict[str, str]:
    """Returns the versions on which the results depend, by the packages' names."""
    names = ("jax", "jaxlib", "flax", "optax")
    return {"sesr_jax": __version__, **{name: importlib.metadata.version(name) for name in names}}
