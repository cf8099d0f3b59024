"""What is done while a champion is worse than guessing, as agreed in its YAML (`on_failing`), and its record.

Here: bringing the record and the version's tag into step with what the reports say, and whether the version before is
any better. Not here: whether a champion is failing (`watch.against_baseline`), going back (`reverting`), answering in
its place (`predict.predictions`, `serving`).

A fallback is about one version: its tag says what answers in its place, so a new champion answers by itself. The entry
on record is written first and the tag follows it, so a process that was killed between the two is made up for by the
next call.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import numpy as np

from mlops_assets.core.models.training import WrongColumns
from mlops_assets.core.performance.against_baseline import DOES, Failing, Fallback, Looked, compared, judged, numbers
from mlops_assets.core.record.entries import WorseThanGuessing, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.predict.scoring_versions import VERSION
from mlops_assets.steps.rollout.reverting import NothingToGoBackTo, version_before
from mlops_assets.steps.watch.against_baseline import guesses
from mlops_assets.steps.watch.windows.summaries import failing_of
from mlops_assets.world.blocks import lasting_blocks_of
from mlops_assets.world.mlflow.registry import FALLBACK, ModelDamaged, ModelVersion, NoSuchVersion
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

FAILING = "failing"
"""Kind of the entries on record."""
BEGAN, OVER = "began", "over"
"""What such an entry says (`result`)."""
GOING_BACK = "going_back"
"""Where the look at the version before is kept, so that it is taken once a window."""
DOES_NOT = "The champion answers by itself."


def settle(platform: Platform, model: ModelSettings) -> Failing | None:
    """Bring record and tag into step with what the reports say; whether the champion is failing.

    A call without news writes nothing.
    """
    champion, failing = platform.registry.champion(model.name), failing_of(platform, model)
    open_entry = standing(platform, model.name)
    if open_entry is not None and (why := _over(model, open_entry, champion, failing)):
        _note(platform, model, OVER, open_entry.version, open_entry.on_failing, why)
        if champion is None or champion.version != open_entry.version:
            platform.registry.fall_back(model.name, open_entry.version, None)
        open_entry = None
    if failing is not None and open_entry is None:
        sentence = failing.in_words(model.name, model.zone)
        open_entry = _note(platform, model, BEGAN, failing.version, model.on_failing, sentence)
    if champion is not None:
        wanted = _fallback(platform, model, open_entry)
        if champion.tags.get(FALLBACK) != (wanted.to_json() if wanted else None):
            platform.registry.fall_back(model.name, champion.version, wanted)
    if failing is not None and model.on_failing == "previous":
        _look_back(platform, model, failing)
    return failing


def standing(platform: Platform, model: str) -> WorseThanGuessing | None:
    """The entry on record by which a version began to fail, where none says that it is over."""
    entries = only(platform.ledger.entries(model), WorseThanGuessing)
    return entries[-1] if entries and entries[-1].result == BEGAN else None


def goes_back_to(platform: Platform, model: ModelSettings) -> tuple[int | None, str]:
    """The version to go back to by `on_failing: previous`, and what was found of it; as `settle` has kept it.

    None where the champion is not failing, nothing has been looked at yet, or the version before is no better.
    """
    failing = failing_of(platform, model)
    if failing is None or model.on_failing != "previous" or not platform.record_file(model.name, GOING_BACK).exists():
        return None, ""
    known = platform.record(model.name, GOING_BACK)
    if known["of"] != _of(failing):
        return None, ""
    return known["version"], known["reason"]


def _over(model: ModelSettings, entry: WorseThanGuessing, champion: ModelVersion | None, worse: Failing | None) -> str:
    """Why what stands on record is over; empty while it lasts."""
    if champion is None or champion.version != entry.version:
        return f"Version {champion.version} is champion now." if champion else "The model has no champion any more."
    if worse is None:
        return f"By its newest window version {entry.version} is not surely worse than guessing any more."
    if entry.on_failing != model.on_failing:
        return f"on_failing was {entry.on_failing} and is {model.on_failing} now."
    return ""


def _note(
    platform: Platform, model: ModelSettings, result: str, version: int, on_failing: str, reason: str
) -> WorseThanGuessing:
    # Two processes that find the same write it once: the number is that of the entries before.
    number = len(only(platform.ledger.entries(model.name), WorseThanGuessing))
    return platform.ledger.record.note(
        model.name,
        WorseThanGuessing,
        at=platform.now(model),
        id=f"{FAILING}-{version}-{number}",
        version=version,
        result=result,
        on_failing=on_failing,
        did=DOES[on_failing] if result == BEGAN else DOES_NOT,
        reason=reason,
    )


def _fallback(platform: Platform, model: ModelSettings, entry: WorseThanGuessing | None) -> Fallback | None:
    """What the tag shall say; the reason is that of the record, so that it does not move with each window."""
    if entry is None or entry.on_failing not in ("baseline", "refuse"):
        return None
    does: Literal["baseline", "refuse"] = "baseline" if entry.on_failing == "baseline" else "refuse"
    guess = np.atleast_1d(guesses(platform, model, entry.version, 1)[0])
    return Fallback(does, entry.reason, tuple(float(value) for value in guess))


def _of(failing: Failing) -> str:
    return f"version {failing.version} in {failing.newest.window}"


def _look_back(platform: Platform, model: ModelSettings, failing: Failing) -> None:
    """Look once a window whether the version before is worse than guessing on the same rows too."""
    kept = platform.record_file(model.name, GOING_BACK).exists()
    if kept and platform.record(model.name, GOING_BACK)["of"] == _of(failing):
        return
    try:
        before = version_before(platform, model)
        version, reason = _compared_with(platform, model, failing, before)
    except NothingToGoBackTo:
        version, reason = None, "There is no version before it to go back to."
    except CannotJudge as why:
        version, reason = None, f"Whether the version before it is any better: {why}."
    except (ModelDamaged, NoSuchVersion, WrongColumns) as why:
        version, reason = None, f"The version before it can no longer be scored: {why}"
    platform.write_record(model.name, GOING_BACK, {"of": _of(failing), "version": version, "reason": reason})


def _compared_with(platform: Platform, model: ModelSettings, failing: Failing, before: int) -> tuple[int | None, str]:
    """The version before on the rows that the champion failed on."""
    first, last = _days(model, failing)
    data = platform.data(model)
    labels = data.events(first, last, as_of=platform.now(model))[[*data.keys, EVENT_TIME, LABEL]]
    rows = read_scores(platform, model, first, last).merge(labels, on=[*data.keys, EVENT_TIME], validate="one_to_one")
    rows = data.usual(rows[(rows[VERSION] == failing.version) & rows[LABEL].notna()].reset_index(drop=True))
    scores = platform.registry.load(model.name, before).predict(rows)
    guess = guesses(platform, model, failing.version, len(rows))
    comparison = compared(rows[LABEL].to_numpy(), scores, guess, lasting_blocks_of(model, rows), model.metric)
    newest = failing.newest
    look = Looked(newest.window, newest.rows_from or newest.start, newest.end, comparison)
    verdict = judged([look], before, min_rows=model.monitoring.performance.min_rows)
    if verdict.worse is None or newest.gain is None or verdict.gain is None:
        return None, verdict.sentence
    if verdict.worse:
        return None, f"Version {before} is worse than guessing on the same rows too: {numbers(verdict)}."
    if verdict.gain <= newest.gain:
        return None, f"Version {before} is no better than it on the same rows: {numbers(verdict)}."
    return before, f"Version {before} is not worse than guessing on the same rows: {numbers(verdict)}."


def _days(model: ModelSettings, failing: Failing) -> tuple[date, date]:
    """The local days [first, last) of the rows that the newest verdict was made from."""
    newest = failing.newest
    start = newest.rows_from or newest.start
    return start.astimezone(model.zone).date(), newest.end.astimezone(model.zone).date()
