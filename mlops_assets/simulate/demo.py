"""The main job: the closed loop on a year of real flights, in the main home.

Here: what is landed, from when to when it is replayed, with how many trials. Not here: the replay (`replay`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.core.record.entries import Pause, Resume
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.landing.nycflights13 import land
from mlops_assets.simulate.engine import Engine
from mlops_assets.simulate.replay import Progress, Replayed, replay
from mlops_assets.simulate.replay_settings import ReplaySettings, periods_of, steps_of
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.platform import Platform

MODEL = "flight_delay"
_START, END = date(2013, 4, 1), date(2014, 1, 1)
LAST_DAY = date(2013, 12, 31)
BY = "the demo"
TRIALS = 2
"""Trials of a training in the demo, the defaults and one more; production takes the model's own 20. The demo is
meant to take minutes on two cores (benchmarks/README.md has the figure), and its AUC differs in the third decimal."""


def demo(*, home: Home, trials: int | None = None, progress: Progress = lambda *_: None) -> Replayed:
    """Land the year, train on January to March, replay April to December by month.

    Args:
        home: the main home; it gets the data clock, so that it is quiet afterwards.
        trials: Optuna trials of a training.
        progress: told how far it is.
    """
    settings = ReplaySettings(model=MODEL, start=_START, end=END, every="month", trials=trials or TRIALS)
    return replay_flights(settings, home=home, report=report_folder(home), progress=progress)


def replay_flights(
    settings: ReplaySettings,
    *,
    home: Home,
    report: Path,
    progress: Progress,
    trainings: dict[str, Any] | None = None,
) -> Replayed:
    """Land the year of flights, and replay one of the models of flights in the main home.

    Args:
        settings: of the replay.
        home: the main home.
        report: folder of the report.
        progress: told how far it is.
        trainings: what is agreed on for all trainings of the home together.
    """
    home.configure(replace(home.settings, clock="data", trials=settings.trials, trainings=trainings))
    home.prepare()
    stages = stages_of(progress, (1, replay_steps(settings, home), 1))
    next(stages)("landing a year of flights", 0, 1)
    land(home.landing, LAST_DAY)
    leave_others_alone(home, settings.model)
    replayed = replay(settings, home=home, report=report, progress=next(stages))
    come_to_rest(home, next(stages))
    return replayed


def stages_of(progress: Progress, steps: Sequence[int]) -> Iterator[Progress]:
    """The progress of each stage of a demo, counted among the steps of all: no stage starts over.

    Args:
        progress: told how far all of it is.
        steps: of each stage.
    """
    for number, own in enumerate(steps):
        before = sum(steps[:number])

        def stage(what: str, done: int, of: int, before: int = before, own: int = own) -> None:
            progress(what, before + done * own // of, sum(steps))

        yield stage


def replay_steps(settings: ReplaySettings, home: Home) -> int:
    """Steps of the replay of a demo."""
    return steps_of(periods_of(settings, Platform.of(home).models()[settings.model].timezone))


def come_to_rest(home: Home, progress: Progress = lambda *_: None) -> None:
    """Free the clock, which stands at the end of the data and moves when more lands; do what the daemon would do first.

    Landing and retraining have been asked all along; whether features look ahead has not, and `mlops up` would start by
    looking. So nothing runs by itself afterwards.
    """
    home.configure(replace(home.settings, until=None, trials=None))
    progress("looking whether features look ahead", 1, 1)
    with working_in(home), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        from mlops_assets.definitions import build_definitions

        Engine(build_definitions(home), instance).tick("look_ahead_sensor")


def leave_others_alone(home: Home, model: str) -> None:
    """Pause the models that a demo does not show, so that `mlops up` after it starts no first training of theirs.

    The one that it shows goes on, if another demo has paused it.
    """
    platform = Platform.of(home)
    record = platform.ledger.record
    for name, settings in platform.models().items():
        if name == model or (isinstance(settings, MemberSettings) and settings.pool == model):
            paused = record.standing(name, Pause)
            if paused is not None and paused.by == BY:
                record.note(name, Resume, by=BY, reason="this demo shows it")
        elif not record.entries(name):
            record.note(name, Pause, by=BY, reason="not part of the demo")


def report_folder(home: Home) -> Path:
    """Where the demo's report is."""
    return home.root / "reports" / "demo"
