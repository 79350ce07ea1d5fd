"""Work for other processes, one of which dies at the first try."""

import os
import pathlib
import signal


def work(job):
    """Returns twice the number of the job; one that names a file makes it and dies, unless it is there."""
    if job["dies"] and not (flag := pathlib.Path(job["dies"])).exists():
        flag.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"twice": 2 * job["number"]}


def die(job):
    """Dies, always."""
    os.kill(os.getpid(), signal.SIGKILL)
