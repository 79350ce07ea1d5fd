"""Jobs in other processes: one that is killed loses nothing."""

import deadly_work
import pytest

from sesr_jax.errors import InputError
from sesr_jax.search.workers import run_jobs


@pytest.mark.parametrize("workers", [0, 1])
def test_all_jobs_are_done_even_when_a_worker_is_killed(tmp_path, workers):
    jobs = {
        name: {"number": i, "dies": str(tmp_path / "died") if workers and i == 1 else ""}
        for i, name in enumerate("abc")
    }
    found = list(run_jobs(deadly_work.work, jobs, workers=workers))
    assert dict(found) == {name: {"twice": 2 * i} for i, name in enumerate("abc")}
    assert len(found) == 3


def test_workers_that_always_die_end_the_search_in_a_sentence():
    with pytest.raises(InputError, match="workers"):
        list(run_jobs(deadly_work.die, {"a": {}}, workers=1))
