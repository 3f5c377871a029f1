"""A search that is killed loses the trials that ran, and nothing else."""

import socket

import killing
import pytest

from keras_rnnx.tuner import SearchError

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.usefixtures("seeds_as_stated"),
]

FINALS = {"finalists": 2, "runs": 2}


@pytest.fixture
def begun(tmp_path):
    """Begins a search in processes of its own."""
    found = []

    def begin(told, **kwargs):
        found.append(killing.Killed(tmp_path / "killed", told, **kwargs))
        found[-1].start()
        return found[-1]

    yield begin
    for killed in found:
        killed.close()


def never_killed(told, root):
    """The same search in this process, from its beginning to its end."""
    whole = killing.Killed(root, told)
    killing.search_here(told, whole.directory)
    whole.check()
    assert not whole.problems
    return whole.result()


@pytest.mark.slow
def test_with_workers_it_loses_what_ran_alone(begun, tmp_path):
    """The chief is killed, then all at once, then a worker, which has its trial back.

    What was found is what one process finds that is never killed.
    """
    told = killing.arguments(trials=12, **FINALS)
    killed = begun({**told, "workers": 2}, seed=1)
    killed.wait_for("report", killed.reports)
    with pytest.raises(SearchError) as refused:
        killing.search_here(told, killed.directory)
    pid, host = str(killed.process.pid), socket.gethostname()
    assert f"in use by process {pid} on {host}" in str(refused.value)
    for kind in killing.KINDS:
        killed.kill(kind)
    killed.finish()
    killed.check()
    assert not killed.problems, killed.logs()
    # Twice two of them lost their chief, or went with it; one was killed.
    assert killed.counts["workers that left"] == 4
    assert killed.counts["own again"] + killed.counts["idle"] == 1
    whole = never_killed(told, tmp_path / "whole")
    assert not killing.differences(killed.result(), whole, "killed, whole")


@pytest.mark.slow
def test_in_one_process_it_is_as_if_never_killed(begun, tmp_path):
    """Rules that stop trials decide as they would have, too."""
    told = killing.arguments(trials=9, stopping="median", max_epochs=4, **FINALS)
    killed = begun(told, seed=2)
    for _ in range(2):
        killed.kill("all", reports=16)
    killed.finish()
    killed.check()
    assert not killed.problems, killed.logs()
    whole = never_killed(told, tmp_path / "whole")
    assert {one["status"] for one in whole.values()} == {"completed", "stopped"}
    assert not killing.differences(killed.result(), whole, "killed, whole")


def test_it_goes_on_from_what_any_moment_leaves(tmp_path):
    """Killed before each change of a file, `python -m killing` tries all of them."""
    told = killing.arguments(trials=2, max_epochs=1, finalists=1, runs=2)
    found = killing.moments(told, tmp_path / "all")
    whole = killing.Killed(tmp_path / "all", told)
    whole.check()
    assert not whole.problems
    # As many as there are seconds for. Beginnings and ends of trials are among them.
    some = found[3::6]
    assert len(some) > 3
    for one in some:
        assert not killing.goes_on(one, told, whole)
