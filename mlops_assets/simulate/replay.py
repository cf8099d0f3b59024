"""A replay: history run period by period through the same assets, sensors and policies, against the data clock.

Here: the order of ticks, resuming, and writing the report's files. Not here: the daemon's work (`engine`), what the
other two lives would have done (`lives`), what comes of it (`story`), drawing (`pages.replay`).

Period k is scored by the champion at its start. At its end the sensors tick, with the clock at that moment; what they
decide holds from the next period on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Required, TypedDict

import dagster as dg

from mlops_assets.assets.jobs import watching
from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.settings_fleet import FleetSettings, MemberSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.core.time.windows import Window
from mlops_assets.pages.replay_wording import headline
from mlops_assets.simulate.changes import KnownChange, when_noticed
from mlops_assets.simulate.engine import Engine, RunFailed
from mlops_assets.simulate.lives import Lives
from mlops_assets.simulate.members import members_lived
from mlops_assets.simulate.replay_settings import ReplaySettings, periods_of, steps_of
from mlops_assets.simulate.story import Story, key_of
from mlops_assets.steps.predict.fleet_members import note_members
from mlops_assets.steps.watch.windows.summaries import window_checks
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home, HomeSettings, working_in
from mlops_assets.world.landed.fleet_values import take_over
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.replayed import SETTINGS, EndedReplay, note_ended

ONLINE = dg.AssetKey(["feast", "online_store"])


class _State(TypedDict, total=False):
    """How far a replay came: periods by their end."""

    done: Required[list[str]]
    first: int
    failing: dict[str, str]
    decided: dict[str, int]


class CannotReplay(RuntimeError):
    """The replay has nothing to begin with; the message says what is missing."""


Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done and how many there are."""


@dataclass(frozen=True)
class Replayed:
    """What a replay gives: `replay.json` as values, where the files are, and what the page tells besides."""

    result: dict[str, Any]
    report: Path
    home: Home
    details: dict[str, Any] = field(default_factory=dict)


def replay(
    settings: ReplaySettings,
    *,
    home: Home,
    report: Path,
    progress: Progress = lambda *_: None,
    changes: Sequence[KnownChange] = (),
) -> Replayed:
    """Run the replay in a home that is prepared for it (`replay_home`), going on where it was stopped.

    Args:
        settings: what is replayed.
        home: where.
        report: folder of the report.
        progress: told how far it is.
        changes: what was done to the data on purpose; the report says when each was found.

    Raises:
        CannotReplay: no data, or no first champion came out of it.
        RunFailed: a run failed; correct what it names and resume.
    """
    began = time.monotonic()
    with working_in(home), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        from mlops_assets.definitions import build_definitions

        engine = Engine(build_definitions(home), instance)
        engine.bury()
        play = _Replay(settings, home, engine, progress)
        result, details = play.run()
    spent = _spent(play.folder, time.monotonic() - began)
    result["summary"]["seconds"] = round(spent, 1)
    if changes:
        result["changes"] = when_noticed(changes, result["periods"])
    details["home"] = os.path.relpath(home.root, report)
    page = _write_report(report, result, details)
    shown, now = headline(result, details), datetime.now(UTC)
    note_ended(home, EndedReplay(settings.model, settings.start, settings.end, now, shown, str(page.resolve())))
    return Replayed(result, page, home, details)


def replay_home(parent: Home, settings: ReplaySettings, *, resume: str | None = None) -> Home:
    """A home of its own for a replay: it reads the parent's landing folder and writes only below itself.

    Raises:
        ValueError: there is no such replay to resume, or it was started with other settings.
    """
    # To the microsecond: two replays that start in one second must not share a home.
    identity = resume or f"{settings.model}-{datetime.now(UTC):%Y%m%dT%H%M%S-%f}"
    home = Home(parent.replays / identity)
    wanted = json.dumps(asdict(settings), default=str, indent=1)
    file = home.root / SETTINGS
    if resume is not None:
        if not file.exists():
            known = sorted(path.name for path in parent.replays.glob("*") if path.is_dir())
            raise ValueError(f"there is no replay {resume!r} to resume; known: {', '.join(known) or 'none'}.")
        if file.read_text(encoding="utf-8") != wanted:
            raise ValueError(f"replay {resume} was started with other settings ({file}); resume it with the same.")
        return home
    home.configure(HomeSettings(clock="data", landing=str(parent.landing), trials=settings.trials))
    home.prepare()
    take_over(parent, home)
    write_text(file, wanted)
    return home


class _Replay:
    """One replay on its way."""

    def __init__(self, settings: ReplaySettings, home: Home, engine: Engine, progress: Progress):
        self.settings = settings
        self.home = home
        self.engine = engine
        self.platform = Platform.of(home)
        models = self.platform.models()
        if settings.model not in models:
            raise ValueError(f"there is no model {settings.model!r}; known: {', '.join(sorted(models))}.")
        self.model = models[settings.model]
        # A member of a fleet begins as the pooled model, so that this lives beside it, and decides first.
        self.before = [models[self.model.pool]] if isinstance(self.model, MemberSettings) else []
        self.members: list[MemberSettings] = []
        # As the definitions know them: whoever adds a model meanwhile changes what belongs together, not this replay.
        self.jobs = self.platform.landing_jobs(self.model)
        self.watching_job = self.platform.watching_job(self.model)
        self.periods = periods_of(settings, self.model.timezone)
        self.left_out: list[Window] = []
        self.progress = progress
        self.steps = steps_of(self.periods)
        # Two models may be lived through in one home, one after the other: both demos are.
        self.folder = home.root / "lived" / settings.model
        self.state_file = self.folder / "state.json"
        if (home.root / "replay_state.json").exists():
            raise CannotReplay(
                f"the replay in {home.root} was begun by an earlier version, which kept its place elsewhere. Finish it "
                "with that version, or begin anew in another home (--home, MLOPS_HOME). Nothing was changed."
            )

    def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Prepare, bootstrap, live through the periods, score the lives."""
        self.progress("taking in the files and building features", 0, self.steps)
        self._build(self.periods[-1].end if not self.settings.faithful else self.periods[0].start)
        self._bring_members()
        self._bootstrap()
        lives = Lives(self.platform, self.model, self.folder / "lives", trained_at=self.periods[0].start)
        with closing(lives):
            for number, period in enumerate(self.periods):
                self.progress(f"living through {period.label(self.model.timezone)}", number + 2, self.steps)
                self._live(period, lives)
            self._at(self.periods[-1].end)
            if not self.settings.faithful:
                self._serve()
            self.progress("scoring all lives", self.steps, self.steps)
            state = self._state()
            failing, decided = state.get("failing", {}), state.get("decided", {})
            story = Story(self.platform, self.model, self.periods, self.left_out, failing, decided)
            scored = lives.scores(self.periods, as_of=story.known_by())
            result = story.result(scored)
            if self.members:
                result["members"] = members_lived(self.platform, self.members, self.periods, as_of=story.known_by())
            return result, story.details(asdict(self.settings), scored)

    def _at(self, moment: datetime) -> None:
        """Move the clock of the replay's home."""
        self.home.configure(replace(self.home.settings, until=moment))

    def _build(self, until: datetime) -> None:
        """Take in everything that landed until then, and build features and labels over it in one pass."""
        self._at(until)
        self._take_in(self._carry)
        if not self.platform.lake.partitions("labels", self.model.label.model):
            raise CannotReplay(
                f"nothing has landed before {until:%Y-%m-%d} in {self.home.landing}. Land the files first "
                "(for the demo's data: mlops land flights --through 2013-12-31)."
            )

    def _carry(self) -> None:
        """What the landing sensor asks for, without monitors and online store."""
        watched = {key for model in self.platform.models().values() for key in watching(model)}
        for request in self.engine.requests("landing_sensor")[0]:
            if request.job_name not in self.jobs:
                continue  # Sources that this model does not read.
            wanted = [key for key in request.asset_selection or () if key not in watched and key != ONLINE]
            self.engine.execute(request, only=wanted)

    def _take_in(self, carry: Callable[[], object]) -> None:
        """Carry what has landed as the daemon does: what broke its contract is set aside, the next run takes the rest.

        Raises:
            RunFailed: a run failed for another reason.
        """
        while True:
            before = self._set_aside()
            try:
                carry()
            except RunFailed:
                if self._set_aside() == before:
                    raise
            else:
                return

    def _set_aside(self) -> set[tuple[str, str]]:
        """Partitions in quarantine, by source."""
        intakes = self.platform.sources.intakes()
        return {(name, key) for name, intake in intakes.items() for key in intake.record.quarantined()}

    def _bring_members(self) -> None:
        """Live with the members of a fleet that data have brought until now; what is new has to be loaded."""
        if not isinstance(self.model, FleetSettings):
            return
        days = list(self.platform.lake.partitions("labels", self.model.label.model))
        until = self.platform.now(self.model).astimezone(self.model.zone).date()
        note_members(self.platform, self.model, [day for day in days if day < until])
        models = self.platform.models().values()
        members = [each for each in models if isinstance(each, MemberSettings) and each.pool == self.model.name]
        if {member.name for member in members} - {member.name for member in self.members}:
            from mlops_assets.definitions import build_definitions

            self.engine = Engine(build_definitions(self.home), self.engine.instance)
        self.members = members

    def _bootstrap(self) -> None:
        """The first champion, trained on all that is known when it comes to be; what lies before is left out.

        As in production, where nobody predicts until a model is better than its baseline, and the next one may be.
        """
        why = ""
        for number in range(self._state().get("first", 0), len(self.periods)):
            # Before it is tried: stopped anywhere, the replay goes on with this one.
            write_text(self.state_file, json.dumps(self._state() | {"first": number}, indent=1))
            period = self.periods[number]
            self.progress(f"training the first champion{why}", 1, self.steps)
            self._at(period.start)
            if self.platform.registry.champion(self.model.name) is None:
                if self.settings.faithful and number:
                    self._take_in(self._land)
                self._retrain()
            if self.platform.registry.champion(self.model.name) is not None:
                decided = {period.start.isoformat(): self._decided()} | self._state().get("decided", {})
                write_text(self.state_file, json.dumps(self._state() | {"decided": decided}, indent=1))
                self.left_out, self.periods = self.periods[:number], self.periods[number:]
                self.steps = steps_of(self.periods)
                return
            why = f" (none before {period.start.astimezone(self.model.zone):%Y-%m-%d}: {self._last_reason()})"
        raise CannotReplay(
            f"no first champion of {self.model.name} came out of the data{why}. Bring more rows, end later, or change "
            "what the reason names."
        )

    def _last_reason(self) -> str:
        entries = self.platform.ledger.entries(self.model.name)
        return str(getattr(entries[-1], "reason", "")) if entries else "no decision"

    def _live(self, period: Window, lives: Lives) -> None:
        """One period: its data arrive, the champion predicts, monitors watch, sensors decide; then the other lives."""
        if self._done(period):
            return
        lives.enter(period, champion=self._champion_version())
        self._at(period.end)
        if self.settings.faithful:
            self._take_in(self._land)
        else:
            self._watch(period)
        self.engine.tick("freshness_sensor")
        self._bring_members()
        self._retrain()
        if period != self.periods[-1]:
            lives.leave(period)
        self._remember(period)

    def _watch(self, period: Window) -> None:
        """What a landing run does after the features: predict and report (online values are brought in at the end)."""
        days = period.days(self.model.timezone)
        keys = [key for model in (*self.before, self.model, *self.members) for key in watching(model)]
        first, last = days[0], days[-1]
        tags = span_tags(Span(first, date.fromordinal(last.toordinal() + 1)))
        request = dg.RunRequest(
            run_key=f"replay-{self.model.name}-{first}-{last}",
            job_name=self.watching_job,
            asset_selection=keys,
            tags=tags,
        )
        self.engine.execute(request)

    def _serve(self) -> None:
        """Bring the newest values into the online store, once: during a replay nobody asks it."""
        name = f"replay-online-{self.periods[-1].end:%Y%m%d}"
        self.engine.execute(dg.RunRequest(run_key=name, job_name=self.watching_job, asset_selection=[ONLINE]))

    def _land(self) -> None:
        self.engine.tick("landing_sensor")

    def _retrain(self) -> None:
        for model in (*self.before, self.model):
            self.engine.decide(model)
        # A second time: what was rejected follows the pool.
        for _ in range(2 if self.members else 0):
            self.engine.decide_all(self.members)

    def _champion_version(self) -> int:
        champion = self.platform.registry.champion(self.model.name)
        if champion is None:
            raise CannotReplay(f"{self.model.name} has lost its champion alias; set it in MLflow and resume.")
        return champion.version

    def _state(self) -> _State:
        return read_state(self.state_file, _State, lost="the periods are lived again") or {"done": []}

    def _done(self, period: Window) -> bool:
        return period.end.isoformat() in self._state()["done"]

    def _remember(self, period: Window) -> None:
        state, at = self._state(), period.end.isoformat()
        failing = dict.fromkeys(map(key_of, self._failing()), at) | state.get("failing", {})
        decided = state.get("decided", {}) | {at: self._decided()}
        new = state | {"done": [*state["done"], at], "failing": failing, "decided": decided}
        write_text(self.state_file, json.dumps(new, indent=1))

    def _decided(self) -> int:
        """How many decisions stand on record: what comes after them belongs to a later period.

        Their own moments don't say so: where data never came, the clock stands still.
        """
        return len(only(self.platform.ledger.entries(self.model.name), Decision))

    def _failing(self) -> list[CheckResult]:
        """Checks that failed on any window, as far as that is known now: labels come later than their window."""
        return [check for check in window_checks(self.platform, self.model) if check.passed is False]


def _spent(folder: Path, seconds: float) -> float:
    """Seconds of all sittings of a resumed replay."""
    file = folder / "seconds.json"
    total = seconds + (read_state(file, float, lost="the time of earlier sittings is not counted") or 0.0)
    write_text(file, json.dumps(total))
    return total


def _write_report(folder: Path, result: dict[str, Any], details: dict[str, Any]) -> Path:
    from mlops_assets.pages.replay import render

    write_text(folder / "replay.json", json.dumps(result, indent=1))
    write_text(folder / "replay.html", render(result, details=details))
    return folder / "replay.html"
