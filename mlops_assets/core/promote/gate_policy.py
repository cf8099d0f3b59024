"""What a gate is agreed on: the rules that a challenger must keep, and their named presets.

Here: the policy. Not here: the verdict (`gate`), what the policy is applied to (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self, get_args

from mlops_assets.core.limits.ranges import CONFIDENCE, LARGEST, PART, ROW_COUNT, Range, refuse_outside
from mlops_assets.core.stats.metric_limits import LIMIT

Rule = Literal["better", "relative", "absolute", "non_inferior"]
WhenUnjudgeable = Literal["keep", "ship"]
SHIPS_UNJUDGED = "it ships by the agreed rule (gate.when_unjudgeable: ship)"

GATE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "better": {},
    "f1_2_percent": {"rule": "relative", "min_gain": 0.02},
    "accuracy_1_point": {"rule": "absolute", "min_gain": 0.01},
    "rmse_5_percent": {"rule": "relative", "min_gain": 0.05},
}
"""Named policies: the fields that differ from the defaults. Each begins with the metric it is meant for."""


def preset_fields(name: str) -> dict[str, Any]:
    """The fields of a named policy.

    Raises:
        ValueError: there is none of this name; the message lists all.
    """
    if name not in GATE_PRESETS:
        msg = f"there is no gate preset {name!r}: choose one of {', '.join(GATE_PRESETS)}"
        raise ValueError(msg)
    return dict(GATE_PRESETS[name])


@dataclass(frozen=True)
class GatePolicy:
    """What a challenger must show. Every field may be set under `gate:` in a model's YAML.

    Attributes:
        rule: `better` (default): the lower bound of the gain is above zero. `relative`: the gain is at least
            `min_gain` times the champion's value (F1 + 2 %, RMSE - 5 %). `absolute`: at least `min_gain` in
            the metric's own unit (accuracy + 1 point). `non_inferior`: the lower bound is above minus `margin`
            times the champion's value (deploy if performance holds). Positive is better whatever the metric.
        min_gain: for `relative` and `absolute`; 0 by default. With the others it must stay 0.
        margin: for `non_inferior`: by what share of the champion's value a challenger may be worse; 0 by default, and
            it must stay 0 with the others. A chain of such champions may fall by it each time: set `min_value`, too.
        min_value: what the challenger's metric must reach on the gate's rows, at most where less is better (accuracy
            0.95, RMSE 20); off by default.
        significant: for `relative` and `absolute`: also ask for a lower bound above zero. True by default; a
            point estimate alone promotes noise.
        confidence: two-sided confidence of the interval, 0.95 by default: a challenger that is no better passes
            in about 2.5 % of trials. Those without a found gain share that level (`core.decide.probe.gate_confidence`).
        min_rows: fewest labelled rows that are judged on, 50 by default.
        slice_margin: a slice may be worse by this share of the champion's value in it, 0.02 by default. A
            slice fails when it is worse by more than that with confidence, Holm-corrected over the slices, so
            that many small slices don't veto by chance.
        slice_min_rows: slices with fewer labelled rows are named but not judged, 200 by default.
        beat_baseline: a challenger must also beat the stated baseline where one is given, True by default. Not
            where the champion itself is behind it: then whatever is better than the champion is an improvement.
            Without a champion the baseline is what it must beat.
        twin_correlation: smallest correlation between the refit's scores and its judged twin's on the same rows,
            0.5 by default (a refit on shuffled labels or columns has about 0).
        max_calibration_error: largest calibration error of the challenger on the gate's rows, off by default.
        calibration_margin: largest rise of the calibration error over the champion's; it fails when the rise is
            above that with confidence. Off by default; 0 means: not surely worse.
        max_size_mb: largest file of the model that ships, in megabytes (10^6 bytes), off by default.
        max_latency_ms: largest 99th percentile of the time that a single prediction takes in process, off by default.
            It is measured, so two runs differ.
        same_season: also compare on the same days of the week a year (52 weeks) before, by models that are fitted
            without those rows; worse by more than `slice_margin` with confidence fails. Off by default.
        golden_set: file with rows whose predictions are agreed (`core.promote.golden`), beside the model's YAML or in
            the home's `golden/`. None by default.
        when_unjudgeable: what follows where a challenger cannot be compared with the champion (too few days of labels
            since it was fitted, labels of one class). `keep` (default): the champion stays. `ship`: the challenger is
            promoted without that comparison, if every rule that can be judged holds. A first model is always judged.
    """

    rule: Rule = "better"
    min_gain: Annotated[float, Range(0, LARGEST, 0.02)] = 0.0
    margin: Annotated[float, Range(0, 1, 0.02)] = 0.0
    min_value: Annotated[float | None, LIMIT] = None
    significant: bool = True
    confidence: Annotated[float, CONFIDENCE] = 0.95
    min_rows: Annotated[int, ROW_COUNT] = 50
    slice_margin: Annotated[float, Range(0, 1, 0.02)] = 0.02
    slice_min_rows: Annotated[int, ROW_COUNT] = 200
    beat_baseline: bool = True
    twin_correlation: Annotated[float, Range(0, 1, 0.5)] = 0.5
    max_calibration_error: Annotated[float | None, Range(0, 1, 0.05, above=True, below=True)] = None
    calibration_margin: Annotated[float | None, PART] = None
    max_size_mb: Annotated[float | None, Range(0, 1e6, 20, above=True)] = None
    max_latency_ms: Annotated[float | None, Range(0, 1e6, 50, above=True)] = None
    same_season: bool = False
    golden_set: str | None = None
    when_unjudgeable: WhenUnjudgeable = "keep"

    def __post_init__(self) -> None:
        refuse_outside(GatePolicy, vars(self), "gate")
        if self.rule not in get_args(Rule):
            msg = f"gate.rule is {self.rule!r}: set better, relative, absolute or non_inferior"
            raise ValueError(msg)
        if self.rule == "relative" and self.min_gain >= 1.0:
            msg = f"gate.min_gain is {self.min_gain}: write a share of the champion's value below 1, for example 0.02"
            raise ValueError(msg)
        if self.rule not in ("relative", "absolute") and self.min_gain != 0.0:
            msg = f"gate.min_gain is {self.min_gain}, but rule {self.rule} takes none: set relative or absolute"
            raise ValueError(msg)
        if (self.rule == "non_inferior") != (self.margin > 0.0):
            other = "set it above zero, such as 0.02" if self.rule == "non_inferior" else "set rule: non_inferior"
            raise ValueError(f"gate.margin is {self.margin} with rule {self.rule}: {other}")
        if self.when_unjudgeable not in get_args(WhenUnjudgeable):
            raise ValueError(f"gate.when_unjudgeable is {self.when_unjudgeable!r}: set keep or ship")

    @classmethod
    def of_preset(cls, name: str) -> Self:
        """A named policy, one of `GATE_PRESETS`."""
        return cls(**preset_fields(name))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger and for YAML."""
        return asdict(self)
