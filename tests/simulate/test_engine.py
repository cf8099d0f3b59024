"""Runs in this process: one that is told to stop ends everything, and nothing that it read is blamed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import dagster as dg
import pytest

from mlops_assets.simulate.engine import Engine, RunFailed


def stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


def fail() -> None:
    raise ValueError("no")


@pytest.mark.parametrize(("act", "raised"), [(stop, KeyboardInterrupt), (fail, RunFailed)])
def test_a_run_that_is_told_to_stop_is_no_failed_one(act: Callable[[], None], raised: type[BaseException]) -> None:
    @dg.asset
    def thing() -> None:
        act()

    definitions = dg.Definitions(assets=[thing], jobs=[dg.define_asset_job("all_of_it")])
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(raised):
        Engine(definitions, instance).execute(dg.RunRequest(job_name="all_of_it"))
