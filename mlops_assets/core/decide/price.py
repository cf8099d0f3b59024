"""What a training is worth in money, beside what it costs.

Here: the gain in profit per row, carried over a horizon. Not here: how the gain is measured (`probe`), the cost table
(`metrics.profit`), what follows from it (`rules`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mlops_assets.core.decide.probe_result import Candidate, Gain
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.stats.intervals import CannotJudge


@dataclass(frozen=True)
class Worth:
    """What acting is expected to bring over a horizon.

    Attributes:
        lower: one-sided lower bound, in the money of the cost table.
        mean: the estimate.
        sentence: both in words, with what they rest on.
    """

    lower: float
    mean: float
    sentence: str


def worth(gain: Gain, horizon: timedelta) -> Worth:
    """Profit per row times the labelled rows of the horizon, as if gain and traffic lasted as long.

    Args:
        gain: as the probe has measured it.
        horizon: how long the gain is expected to last.

    Raises:
        CannotJudge: the probe has not measured it in money.
    """
    if gain.profit is None:
        raise CannotJudge(
            "no look at this champion has measured the gain in money by today's cost table",
            "Set monitoring.costs and wait until the next window has matured, or remove retrain.price_money",
        )
    profit = gain.profit
    rows = profit.rows_per_day * (horizon / timedelta(days=1))
    lower, mean = profit.lower * rows, profit.mean * rows
    amount = (
        f"{mean:,.2f} in {days_of(horizon)} ({'surely at least' if lower > 0 else 'surely no less than'} {lower:,.2f}"
    )
    return Worth(lower, mean, f"It is worth {amount}; {profit.rows_per_day:,.0f} labelled rows a day)")


def exceeds_price(gain: Gain, policy: RetrainPolicy) -> bool:
    """Whether a gain surely exceeds both prices; going back costs no training and has none in money.

    Raises:
        CannotJudge: there is a price in money, and the probe has not measured the gain in it.
    """
    if gain.lower <= policy.min_gain:
        return False
    if policy.price_money is None or Candidate.parse(gain.candidate).action == "revert":
        return True
    return worth(gain, policy.price_horizon).lower > policy.price_money
