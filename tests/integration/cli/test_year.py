"""Months in fast motion: environments change, prunes come on a schedule, and what is kept works to the end."""

from __future__ import annotations

from airflow_conda_flow.environments.platform import current_platform

from ...parts.fast_year import PYTHON, FastYear

KEPT = 2


def test_months_of_runs_and_prunes(tmp_path, channel):
    """The disk stays flat; each run that is kept resumes in its own environment, with the channel gone."""
    (python,) = (channel.directory / current_platform()).glob(f"python-{PYTHON}-*.conda")
    year = FastYear(tmp_path, python, seed=7, size=2_000_000)
    versions, sizes = {}, []
    for number in range(9):
        year.release(number)
        versions[year.run(number)] = str(number)
        year.pass_days(2.5)
        if number % 3 == 2:
            year.prune(KEPT)
            sizes.append(year.size())
    assert year.kept() == sorted(versions)[-KEPT:]
    # Each run of three has as much that only it needs: three times as much would be there without prunes.
    assert max(sizes) < sizes[0] + 3_000_000, sizes
    year.lose_the_channel()
    for run_id in year.kept():
        assert year.resume(run_id) == (versions[run_id], versions[run_id])
