"""The probe's looks as people read them.

Here: a table, a plot and a sentence for the asset's materialization. Not here: looking (`probing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.price import exceeds_price
from mlops_assets.core.probe import Candidate, FoldLoss, Gain, Look
from mlops_assets.core.reporting import markdown_table
from mlops_assets.core.retrain_policy import RetrainPolicy
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.svg import markdown_bars
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.probing import Looked, read_looks

SHOWN = 12
_LOSS = "Loss: how far the metric is from a faultless model's (1 - AUC, RMSE, log loss); less is better."


@dataclass(frozen=True)
class ProbeReport:
    """What the asset shows.

    Attributes:
        metadata: Markdown by name.
        numbers: of the newest window, and what they are held against; Dagster draws them over the materializations.
        passed: whether the champion is best; None where the probe cannot say.
        sentence: what was found.
    """

    metadata: dict[str, str]
    numbers: dict[str, float]
    passed: bool | None
    sentence: str


def told(platform: Platform, model: ModelSettings, looked: Looked) -> ProbeReport:
    """The looks so far, the newest last."""
    looks = read_looks(platform, model.name)[-SHOWN:]
    found = looked.probed
    gains = [gain for gain in (found.refit, found.revert) if gain] if found else []
    sentence = found.sentence if found else "The champion has not been looked at yet."
    metadata = {"reason": sentence}
    if looks:
        table = markdown_table(
            [_row(one) for one in looks],
            header=["window", "champion", "its loss", "best refit before it", "gain", "gain, share of loss"],
        )
        metadata["by_window"] = f"{table}\n\n{_LOSS}"
        metadata["losses"] = _losses(looks[-1])
        bars = [(one.window, 100 * one.series["leader"].gain / one.champion_loss) for one in looks if _has_gain(one)]
        metadata["plot"] = markdown_bars(
            bars,
            limit=100 * model.retrain.min_gain,
            title="Gain of the best refit, % of the champion's loss",
        )
    if found:
        metadata["cost"] = (
            f"{found.looks} looks at this champion: {found.alpha_spent:.2f} false alarms to be expected so far."
        )
    if looked.unjudged:
        metadata["not_judged"] = "; ".join(looked.unjudged)
    return ProbeReport(metadata, _numbers(looks, model.retrain), _is_best(gains, model.retrain), sentence)


def _numbers(looks: Sequence[Look], policy: RetrainPolicy) -> dict[str, float]:
    """The best refit's gain in the newest window that has one, as a share of the champion's loss, and its price."""
    known = [one for one in looks if _has_gain(one)]
    if not known:
        return {}
    return {"gain": known[-1].series["leader"].gain / known[-1].champion_loss, "limit": policy.min_gain}


def _is_best(gains: Sequence[Gain], policy: RetrainPolicy) -> bool | None:
    try:
        return not any(exceeds_price(gain, policy) for gain in gains) if gains else None
    except CannotJudge:
        # The price is in money, and the gain is not; the decision says why.
        return None


def _has_gain(one: Look) -> bool:
    return "leader" in one.series and one.champion_loss > 0.0


def _row(one: Look) -> tuple[object, ...]:
    gain = one.series["leader"].gain if "leader" in one.series else None
    followed = ", ".join(dict.fromkeys(Candidate.parse(name).told for name in one.followed))
    share = None if gain is None or one.champion_loss <= 0.0 else f"{gain / one.champion_loss:+.1%}"
    return one.window, f"v{one.champion}", one.champion_loss, followed, gain, share


def _losses(one: Look) -> str:
    """What each candidate lost in the newest window, over its folds."""
    names = sorted({name for fold in one.folds for name in fold.loss})
    rows = sorted(((_label(name), _mean_loss(one.folds, name)) for name in names), key=lambda row: row[1])
    return markdown_table(rows, header=[f"in {one.window}", "loss"])


def _label(name: str) -> str:
    return "the champion" if name == "keep" else Candidate.parse(name).told


def _mean_loss(folds: tuple[FoldLoss, ...], name: str) -> float:
    known = [fold for fold in folds if name in fold.loss]
    return sum(fold.loss[name] * fold.rows for fold in known) / sum(fold.rows for fold in known)
