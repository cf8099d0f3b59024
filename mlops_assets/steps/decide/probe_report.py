"""The probe's looks as people read them.

Here: a table, a plot and a sentence for the asset's materialization. Not here: looking (`probe`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.price import exceeds_price
from mlops_assets.core.decide.probe import by_window
from mlops_assets.core.decide.probe_result import Candidate, Gain, Look
from mlops_assets.core.decide.promised_gains import leading
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.pages.svg import markdown_bars
from mlops_assets.steps.decide.looks import read_looks
from mlops_assets.steps.decide.probe import NewLooks
from mlops_assets.world.platform import Platform

_SHOWN = 12
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


def probe_report(platform: Platform, model: ModelSettings, looked: NewLooks) -> ProbeReport:
    """The looks so far, the newest last."""
    looks = [look for look in by_window(read_looks(platform, model.name)) if look.champion][-_SHOWN:]
    probe = looked.probed
    gains = [gain for gain in (probe.refit, probe.revert) if gain] if probe else []
    sentence = probe.sentence if probe else "The champion has not been looked at yet."
    metadata = {"reason": sentence}
    if looks:
        table = markdown_table(
            [_row(look, _led(looks, number, model)) for number, look in enumerate(looks)],
            header=["window", "champion", "its loss", "leading refit", "gain", "gain, share of loss"],
        )
        metadata["by_window"] = f"{table}\n\n{_LOSS}"
        metadata["losses"] = _losses(looks[-1])
        shares = [(look.window, _share(look, _led(looks, number, model))) for number, look in enumerate(looks)]
        metadata["plot"] = markdown_bars(
            [(window, 100 * share) for window, share in shares if share is not None],
            limit=100 * model.retrain.min_gain,
            title="Gain of the leading refit, % of the champion's loss",
        )
    if probe:
        metadata["cost"] = (
            f"{counted(probe.looks, 'look')} at this champion: {probe.alpha_spent:.2f} false alarms to be expected so "
            "far."
        )
    if looked.unjudged:
        metadata["not_judged"] = "; ".join(looked.unjudged)
    return ProbeReport(metadata, _numbers(looks, model), _is_best(gains, model.retrain), sentence)


def _numbers(looks: Sequence[Look], model: ModelSettings) -> dict[str, float]:
    """The leading refit's gain in the newest window that has one, as a share of the champion's loss, and its price."""
    known = [
        share for number, look in enumerate(looks) if (share := _share(look, _led(looks, number, model))) is not None
    ]
    return {"gain": known[-1], "limit": model.retrain.min_gain} if known else {}


def _is_best(gains: Sequence[Gain], policy: RetrainPolicy) -> bool | None:
    try:
        return not any(exceeds_price(gain, policy) for gain in gains) if gains else None
    except CannotJudge:
        # The price is in money, and the gain is not; the decision says why.
        return None


def _led(looks: Sequence[Look], number: int, model: ModelSettings) -> str:
    """The refit that led once a window had been looked at."""
    return leading(looks[: number + 1], model.probe)


def _share(look: Look, lead: str) -> float | None:
    """The gain of a refit in a window, as a share of the champion's loss."""
    loss = look.whole.loss.get(KEEP, 0.0)
    return look.whole.series[lead].gain / loss if lead in look.whole.series and loss > 0.0 else None


def _row(look: Look, lead: str) -> tuple[object, ...]:
    gain = look.whole.series[lead].gain if lead in look.whole.series else None
    share = _share(look, lead)
    percent = None if share is None else f"{share:+.1%}"
    return look.window, f"v{look.champion}", look.whole.loss.get(KEEP), Candidate.parse(lead).in_words, gain, percent


def _losses(look: Look) -> str:
    """What each candidate lost in the newest window, and on its newest days."""
    fresh = look.newest.loss if look.newest else {}
    names = sorted({*look.whole.loss, *fresh}, key=lambda name: fresh.get(name, look.whole.loss.get(name, 0.0)))
    rows = [(_label(name), look.whole.loss.get(name), fresh.get(name)) for name in names]
    return markdown_table(rows, header=[f"loss in {look.window}", "whole", "newest days"])


def _label(name: str) -> str:
    return "the champion" if name == KEEP else Candidate.parse(name).in_words
