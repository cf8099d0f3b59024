"""What was seen of a candidate: its scores beside the other version's on the same rows, and their labels.

Here: reading what both said of each event, and measuring it. Not here: which version scores what
(`predict.scoring_versions`), what follows (`core.rollout.moves`, `moves`).

What the online service answered counts with the batch's rows: its files stand in the same partitions. Its requests have
times and failures besides (`answer_counts`); a batch has none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.drift.statistics import psi
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.rollout.moves import Rollout, RolloutPolicy, Seen, guardrails
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import MIN_BLOCKS, CannotJudge
from mlops_assets.core.time.windows import local_days, midnight, parse_duration
from mlops_assets.steps.predict.answer_counts import answering
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.predict.scoring_versions import (
    ARM,
    BATCH,
    CANARY_ARM,
    CHAMPION_ARM,
    ONLINE,
    SHADOW,
    SHADOW_ARM,
    VERSION,
    WITHHELD,
    own_scores,
    score_names,
)
from mlops_assets.world.blocks import blocks_of_events
from mlops_assets.world.mlflow.registry import ModelDamaged, NoSuchVersion
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

WRITERS = (BATCH, WITHHELD, SHADOW, ONLINE)
ONLINE_SECONDS = 300
"""So often the online service's answers are looked at anew."""
TENTHS = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Events that both versions have scored, oldest first.

    Attributes:
        events: keys and event time.
        candidate: its scores, shape (n,) or (n, k).
        other: the other version's, same shape.
    """

    events: pd.DataFrame
    candidate: np.ndarray
    other: np.ndarray


def measure(
    platform: Platform, model: ModelSettings, rollout: Rollout, *, began: datetime, now: datetime, in_leaps: bool
) -> Seen:
    """What was seen of a candidate by now.

    The metric is judged on all rows since the rollout began; the number of rows, failed requests and answering times
    on those since its step did.

    Args:
        platform: the home.
        model: the monitored model.
        rollout: where it stands.
        began: when its first step did.
        now: the model's clock.
        in_leaps: whether rows that the candidate has only scored count in a canary too (see
        `core.rollout.moves.advance`).
    """
    try:
        platform.registry.verify(model.name, rollout.version)
    except (ModelDamaged, NoSuchVersion):
        return Seen(rows=0, loaded=False)
    policy = model.rollout or RolloutPolicy()
    asked = _asked(platform, model, rollout, policy)
    said = _said(platform, model, began)
    if said.empty:
        return Seen(rows=0, **asked)
    own = said[(said[VERSION] == rollout.version) & (said[EVENT_TIME] >= pd.Timestamp(rollout.since))]
    if rollout.state == "canary" and not in_leaps:
        own = own[own[ARM] == CANARY_ARM]
    pairs = pairs_of(said, platform.data(model).keys, rollout)
    if not len(pairs.events):
        return Seen(rows=len(own), **asked)
    gain, rise = on_labels(platform, model, pairs, now=now)
    enough = len(pairs.events) >= max(policy.min_rows, 1)
    return Seen(
        rows=len(own),
        **asked,
        gain=gain,
        psi=_psi(pairs) if enough else None,
        calibration_rise=rise if enough else None,
    )


def pairs_of(said: pd.DataFrame, keys: list[str], rollout: Rollout) -> Pairs:
    """The events that the candidate and the other version have both scored, whoever answered."""
    identity = [*keys, EVENT_TIME]
    theirs, others = (
        said[said[VERSION] == version].drop_duplicates(identity, keep="last")
        for version in (rollout.version, rollout.champion)
    )
    scores = score_names(said)
    both = theirs[[*identity, *scores]].merge(others[[*identity, *scores]], on=identity, suffixes=("", "|other"))
    both = both.sort_values([EVENT_TIME, *keys], ignore_index=True)
    other = both[[f"{name}|other" for name in scores]].set_axis(scores, axis=1)
    return Pairs(both[identity], score_matrix(both[scores]), score_matrix(other))


def files_state(platform: Platform, model: ModelSettings, began: datetime, rollout: Rollout) -> str:
    """What identifies all that `measure` reads: the files' sizes and times.

    The online service writes every few seconds; its files count once in `ONLINE_SECONDS`, and at once where failures or
    answering times have broken a limit.
    """
    digest = hashlib.sha256()
    first = platform.data(model).day(began)
    tables = [("predictions", model.name, writer) for writer in WRITERS] + [("labels", model.label.model, "data")]
    for layer, name, writer in tables:
        for day, path in platform.lake.partitions(layer, name, name=writer).items():
            if day >= first:
                stat = path.stat()
                state = f"{stat.st_size}/{stat.st_mtime_ns}"
                if writer == ONLINE:
                    state = str(int(stat.st_mtime // ONLINE_SECONDS))
                digest.update(f"{layer}/{writer}/{day}/{state};".encode())
    policy = model.rollout or RolloutPolicy()
    asked = Seen(rows=0, **_asked(platform, model, rollout, policy))
    digest.update(str([rail.name for rail in guardrails(rollout, asked, policy) if not rail.holds]).encode())
    return digest.hexdigest()[:16]


def _asked(platform: Platform, model: ModelSettings, rollout: Rollout, policy: RolloutPolicy) -> dict[str, Any]:
    """The fields of `Seen` about requests. In shadow nobody waits for the candidate: only its failures count."""
    arm = {"shadow": SHADOW_ARM, "canary": CANARY_ARM}.get(rollout.state, CHAMPION_ARM)
    counts = answering(
        platform.lake,
        model.name,
        rollout.version,
        [arm],
        since=rollout.since,
        day=platform.data(model).day(rollout.since),
    )
    limit = None if rollout.state == "shadow" else policy.max_p99_ms
    return {
        "answers": counts.answers,
        "errors": counts.errors,
        "slow": counts.slower_than(limit) if limit is not None else 0,
        "p99_ms": counts.percentile_ms() if limit is not None else None,
    }


def _said(platform: Platform, model: ModelSettings, began: datetime) -> pd.DataFrame:
    """Every score of every version since the rollout began, online ones last."""
    data = platform.data(model)
    frames = []
    for writer in WRITERS:
        rows = platform.lake.read(
            "predictions",
            model.name,
            start=data.day(began),
            name=writer,
            where="event_timestamp >= $began" + (" and is_identified" if writer == ONLINE else ""),
            parameters={"began": began},
        )
        if not rows.empty:
            rows = own_scores(rows)
            rows = rows.assign(**({} if ARM in rows else {ARM: CHAMPION_ARM}))
            frames.append(rows[[*data.keys, EVENT_TIME, *score_names(rows), VERSION, ARM]])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def on_labels(
    platform: Platform, model: ModelSettings, pairs: Pairs, *, now: datetime
) -> tuple[Paired | CannotJudge, float | None]:
    """The gain on the rows of days that have matured, and the rise of the calibration error on them (binary).

    Looks begin with the eighth day, and each new day is one, whatever counts as one observation.
    """
    data = platform.data(model)
    days = local_days(pairs.events[EVENT_TIME], model.timezone)
    first, last = (pd.Timestamp(day).date() for day in (days[0], days[-1]))
    events = data.events(first, last + timedelta(days=1), as_of=now)
    identity = [*data.keys, EVENT_TIME]
    events["_matured"] = _matured(model, events, now=now)
    known = events[events["_matured"] & events[LABEL].notna()]
    place = pairs.events.assign(_place=np.arange(len(pairs.events))).merge(known, on=identity, validate="one_to_one")
    at, y = place["_place"].to_numpy(), place[LABEL].to_numpy()
    looked = len(np.unique(days[at]))
    if looked < MIN_BLOCKS:
        begun = len(np.unique(days))
        # The day that is needed may have begun; after the longest delay it has matured.
        eighth = np.unique(days)[MIN_BLOCKS - 1] if begun >= MIN_BLOCKS else last + timedelta(days=MIN_BLOCKS - begun)
        by = _end(pd.Timestamp(eighth).date(), model.timezone) + parse_duration(model.label.max_delay)
        why = f"{counted(looked, 'day')} of matured labels, and {MIN_BLOCKS} are needed: {MIN_BLOCKS - looked} more"
        by_day = by.astimezone(model.zone).date()
        return CannotJudge(f"{why}, by {by_day} at the latest", "The other guardrails hold meanwhile."), None
    try:
        comparison: Paired | CannotJudge = paired(
            y,
            pairs.other[at],
            pairs.candidate[at],
            blocks_of_events(data, place),
            model.metric,
            confidence=confidence_of_look(model.gate.confidence, looked - MIN_BLOCKS + 1),
            by=model.monitoring.performance.blocks,
            # A guardrail rather stops a candidate too soon than too late: days are taken as independent.
            lag_one=0.0,
        )
    except CannotJudge as why:
        comparison = why
    if model.task != "binary":
        return comparison, None
    return comparison, _calibration_error(y, pairs.candidate[at]) - _calibration_error(y, pairs.other[at])


def confidence_of_look(confidence: float, number: int) -> float:
    """The confidence of the n-th daily look, so that all looks together err as seldom as one of `confidence`.

    The level 1 - confidence is spent as 1 / (n (n + 1)), which sums to one over however many looks (alpha spending, Lan
    and DeMets 1983; the sum is Bonferroni's).
    """
    return 1.0 - (1.0 - confidence) / (number * (number + 1))


def _matured(model: ModelSettings, events: pd.DataFrame, *, now: datetime) -> np.ndarray:
    """Which rows lie on a day of which the agreed share of labels is known, or whose longest delay has passed."""
    days = local_days(events[EVENT_TIME], model.timezone)
    share = events[AVAILABLE_AT].notna().groupby(days).transform("mean").to_numpy()
    until = now - parse_duration(model.label.max_delay)
    ended = {day: _end(pd.Timestamp(day).date(), model.timezone) for day in np.unique(days)}
    over = np.array([ended[day] <= now for day in days], dtype=bool)
    old = np.array([ended[day] <= until for day in days], dtype=bool)
    matured: np.ndarray = (over & (share >= model.label.mature_share)) | old
    return matured


def _end(day: date, timezone: str) -> datetime:
    return midnight(day + timedelta(days=1), timezone)


def _psi(pairs: Pairs) -> float:
    """PSI of the candidate's scores in the tenths of the other's; of several classes, the largest."""
    mine, theirs = (np.atleast_2d(scores.T) for scores in (pairs.candidate, pairs.other))
    psi_by_class = []
    for a, b in zip(mine, theirs, strict=True):
        edges = np.unique(np.quantile(b, TENTHS))
        counts: list[Any] = [
            np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1) for scores in (b, a)
        ]
        psi_by_class.append(psi(*counts))
    return max(psi_by_class)


def _calibration_error(y: np.ndarray, scores: np.ndarray) -> float:
    from mlops_assets.core.stats.metric_formulas import calibration_error

    return float(calibration_error(y, scores)[0])
