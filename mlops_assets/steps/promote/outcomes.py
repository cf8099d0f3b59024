"""What became of the promotions on record, measured once each when enough later rows have their labels.

Here: which promotions are due, their rows, scoring both versions, the entry on record. Not here: the verdict
(`core.promote.outcome`), the promotion (`training.conclude`).

A promotion is judged on as long a stretch as the gate's, beginning with the promotion: the promise and what came of it
then rest on as much data, and neither version has seen it. Whether the version is still champion does not matter; both
are scored by what they would have said.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.training import WrongColumns
from mlops_assets.core.promote.outcome import outcome
from mlops_assets.core.record.entries import OutcomeFound, Promotion, only
from mlops_assets.core.record.gain import Gain
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import Paired, against_baseline, paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, midnight, parse_duration
from mlops_assets.world.blocks import judged_blocks
from mlops_assets.world.mlflow.registry import ModelDamaged, NoSuchVersion
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import Platform


def record_outcomes(platform: Platform, model: ModelSettings) -> list[OutcomeFound]:
    """Put the outcome of each promotion on record that is due by now; once each, the entries that are new.

    Reads the record alone until a promotion is due.
    """
    entries = platform.ledger.entries(model.name)
    known = {entry.promotion for entry in only(entries, OutcomeFound)}
    waiting = [entry for entry in only(entries, Promotion) if entry.id not in known]
    if not waiting:
        return []
    now = platform.now(model)
    outcomes = (measure(platform, model, promotion, now=now) for promotion in waiting)
    return [platform.ledger.record.note(model.name, OutcomeFound, at=now, **values) for values in outcomes if values]


def measure(platform: Platform, model: ModelSettings, promotion: Promotion, *, now: datetime) -> dict[str, Any] | None:
    """The outcome of a promotion, plain, as it stands on record; None while it is not due.

    Args:
        platform: the home.
        model: the monitored model.
        promotion: its entry on record.
        now: the model's clock.
    """
    window = due_window(model, promotion.at)
    if now < window.end:
        return None
    data = platform.data(model)
    rows = data.events(data.day(window.start), data.day(window.end), as_of=now)
    # A stretch without any row never matures; after the longest delay nothing more is waited for.
    waits = now < window.end + parse_duration(model.label.max_delay)
    if waits and not data.maturity(window, rows, now=now).mature:
        return None
    before = promotion.previous
    opponent = f"version {before}" if before else "the baseline"
    result = outcome(_promised(promotion), _realised(platform, model, promotion, rows), opponent=opponent)
    return {
        "id": f"outcome-{promotion.id}",
        "promotion": promotion.id,
        "decision": promotion.decision,
        "version": promotion.version,
        "against": before,
        "window": window.label(model.timezone),
        "result": result.result,
        "promised": result.promised.to_dict() if result.promised else None,
        "realised": result.realised.to_dict() if result.realised else None,
        "reason": result.reason,
    }


def due_window(model: ModelSettings, promoted_at: datetime) -> Window:
    """The whole days that a promotion is judged on: as many as the gate's, from the promotion on."""
    first = promoted_at.astimezone(model.zone).date()
    if midnight(first, model.timezone) < promoted_at:
        first += timedelta(days=1)
    length = parse_duration(model.gate.window)
    return Window(midnight(first, model.timezone), midnight(first + length, model.timezone))


def _promised(promotion: Promotion) -> Gain | None:
    """What the gate found; entries from before it was kept have nothing."""
    return Gain.from_dict(promotion.promised) if promotion.promised else None


def _realised(
    platform: Platform, model: ModelSettings, promotion: Promotion, rows: pd.DataFrame
) -> Paired | CannotJudge:
    """The promoted version against the one that it replaced; a first one against the baseline, as in the gate."""
    known = platform.data(model).usual(rows[rows[LABEL].notna()].reset_index(drop=True))
    if known.empty:
        return CannotJudge("no row of these days has a label", "Nothing depends on it.")
    try:
        joined = platform.data(model).with_features(known)
        scores = platform.registry.load(model.name, promotion.version).predict(joined)
        other = _opponent(platform, model, promotion, joined)
        blocks, by = judged_blocks(model, joined)
        return paired(
            joined[LABEL].to_numpy(),
            other,
            scores,
            blocks,
            model.metric,
            confidence=model.gate.confidence,
            by=by,
        )
    except CannotJudge as why:
        return why
    except (ModelDamaged, NoSuchVersion, WrongColumns, FileNotFoundError) as why:
        # Monitoring goes on without a version that can no longer be scored; the record says why.
        return CannotJudge("one of the two can no longer be scored", str(why))


def _opponent(platform: Platform, model: ModelSettings, promotion: Promotion, rows: pd.DataFrame) -> np.ndarray:
    if promotion.previous:
        return platform.registry.load(model.name, promotion.previous).predict(rows)
    tags = platform.registry.version(model.name, promotion.version).tags
    fitted = platform.data(model).load(tags["training_set"], promotion.at)
    return against_baseline(fitted.frame[LABEL], len(rows), model.task)
