"""When moved features are drift: presets, limits, and the verdict.

Here: the policy of drift and the verdict by it. Not here: the statistics (`feature_drift`), what follows from
a verdict (`policy`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from mlops_assets.core.drift.statistics import LARGEST_JS, LARGEST_KL, LARGEST_PSI, figure, p_figure
from mlops_assets.core.limits.ranges import ANY_SHARE, LARGEST, PART, Range, refuse_outside
from mlops_assets.core.values.display import some

if TYPE_CHECKING:
    from mlops_assets.core.drift.feature_drift import FeatureDrift
    from mlops_assets.core.drift.grid import Kind

DriftPreset = Literal["default", "high_stakes", "low_stakes", "ks", "kl", "any_feature"]
PSI = Range(0, LARGEST_PSI, 0.2, below=True)
"""Limits of PSI: larger than this it cannot be."""
KL = Range(0, LARGEST_KL, 0.15, below=True)
JS = Range(0, LARGEST_JS, 0.1, below=True)
WASSERSTEIN = Range(0, LARGEST, 0.1, note=": standard deviations of the reference")
P_VALUE = Range(0, 1, 0.05, above=True, below=True)
KL_LIMIT = 0.15
NDCG_LIMIT = 0.9
"""Of the order of the features' weights (`importance`): nothing follows from it but what `retrain.on` asks for."""
_NUMBERS = (
    *("psi", "psi_error", "kl", "kl_error", "js", "js_error", "ks", "ks_p", "ks_error", "chi2", "chi2_p"),
    *("wasserstein", "wasserstein_error", "new_share", "outside_share", "mean_change"),
    *("psi_excess", "psi_chance", "psi_rest", "psi_rest_chance", "new_chance"),
)
"""How far a feature has moved, by any statistic."""
CERTAIN = 1.5
"""Times what chance makes of the PSI of few rows, and it is drift all the same: less than one in 100,000."""
_TOLD = 5
"""Features told one by one in a reason."""
_ANY_KIND = frozenset({"psi", "kl", "js", "missing_change"})
_OF_KIND: Mapping[Kind, frozenset[str]] = {
    "numeric": _ANY_KIND | {"ks_p", "wasserstein", "outside_share"},
    "categorical": _ANY_KIND | {"chi2_p", "new_category_share"},
}
"""The limits that are about numbers, and those about categories."""
KIND_IN_WORDS: Mapping[Kind, str] = {"numeric": "numbers", "categorical": "categories"}


@dataclass(frozen=True)
class DriftPolicy:
    """When a feature counts as drifted, and when that is too much. None switches a limit off.

    Attributes:
        psi: a feature has drifted above it. 0.2 by default; 0.1 for high stakes, 0.3 for low.
        ks_p: numeric features have drifted below this p-value (effective sample of 1,000). Off by default: on
            50 stable features it rings in 93 % of checks.
        chi2_p: the same for categorical features, off by default.
        kl: Kullback-Leibler divergence, off by default; 0.15 where it is asked for.
        js: Jensen-Shannon distance, off by default.
        wasserstein: in standard deviations, off by default.
        new_category_share: largest share of unseen categories, 0.05 by default.
        missing_change: largest rise of the missing share, 0.1 by default.
        outside_share: largest share of numbers outside the reference's range, off by default: the range of a small
            reference is set by two rows.
        max_share: largest share of drifted features among those judged, 0.05 by default.
    """

    psi: Annotated[float | None, PSI] = 0.2
    ks_p: Annotated[float | None, P_VALUE] = None
    chi2_p: Annotated[float | None, P_VALUE] = None
    kl: Annotated[float | None, KL] = None
    js: Annotated[float | None, JS] = None
    wasserstein: Annotated[float | None, WASSERSTEIN] = None
    new_category_share: Annotated[float | None, PART] = 0.05
    missing_change: Annotated[float | None, PART] = 0.1
    outside_share: Annotated[float | None, PART] = None
    max_share: Annotated[float, ANY_SHARE] = 0.05

    def __post_init__(self) -> None:
        refuse_outside(DriftPolicy, vars(self), "monitoring.drift")

    @classmethod
    def of_preset(cls, name: str) -> Self:
        """`default` (PSI 0.2), `high_stakes` (0.1), `low_stakes` (0.3), `ks` (p < 0.05), `kl` (0.15), `any_feature`."""
        presets: dict[str, dict[str, Any]] = {
            "default": {},
            "high_stakes": {"psi": 0.1},
            "low_stakes": {"psi": 0.3},
            "ks": {"psi": None, "ks_p": 0.05, "chi2_p": 0.05},
            "kl": {"psi": None, "kl": KL_LIMIT},
            "any_feature": {"max_share": 0.0},
        }
        if name not in presets:
            msg = f"there is no drift preset {name!r}: choose one of {', '.join(presets)}"
            raise ValueError(msg)
        return cls(**presets[name])

    @property
    def limits(self) -> frozenset[str]:
        """The statistics that have a limit."""
        names = (f.name for f in fields(DriftPolicy) if f.name != "max_share")
        return frozenset(name for name in names if getattr(self, name) is not None)

    def judges(self, kind: Kind) -> bool:
        """Whether any limit is about features of this kind."""
        return not self.limits.isdisjoint(_OF_KIND[kind])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DriftVerdict:
    """`passed` is None if no feature could be judged; `share`: drifted among judged features.

    Attributes:
        unjudged: feature -> why nothing can be said of it.
    """

    passed: bool | None
    drifted: tuple[str, ...]
    share: float | None
    limit: float
    reason: str
    findings: Mapping[str, str]
    unjudged: Mapping[str, str] = field(default_factory=dict)


def drift_verdict(drifts: Sequence[FeatureDrift], policy: DriftPolicy) -> DriftVerdict:
    """Whether so many features have drifted that the policy calls it drift.

    Args:
        drifts: what `compare` returned.
        policy: the limits.

    Returns:
        `findings` has a sentence for every drifted feature; features that could not be judged are named in
        the reason and count neither way, unless their missing share alone is over its limit. Nor do those of a kind
        that no limit is about.
    """
    drifts, beside = _in_question(drifts, policy)
    findings = {d.feature: sentence for d in drifts if (sentence := _finding(d, policy))}
    others = [d for d in drifts if d.feature not in findings]
    unjudged = {d.feature: why for d in others if (why := d.why or _too_few(d, policy))}
    judged = [d for d in drifts if d.feature not in unjudged]
    note = "".join(f" {feature} cannot be judged: {why}" for feature, why in list(unjudged.items())[:_TOLD])
    if len(unjudged) > _TOLD:
        rest = len(unjudged) - _TOLD
        note += f" Nor can {rest} {'other' if rest == 1 else 'others'}."
    remarks = [sentence for d in judged if d.feature not in findings and (sentence := _remark(d, policy))]
    note += "".join(f" {sentence}" for sentence in remarks[:_TOLD]) + beside
    if not judged:
        return DriftVerdict(None, (), None, policy.max_share, f"No feature could be judged.{note}", findings, unjudged)
    share = len(findings) / len(judged)
    passed = share <= policy.max_share
    have = "has" if len(findings) == 1 else "have"
    head = f"{len(findings)} of {len(judged)} features {have} drifted ({share:.0%}; limit {policy.max_share:.0%})"
    psi = {d.feature: d.psi or 0.0 for d in drifts}
    names = sorted(findings, key=lambda n: -psi[n])
    sentence = some([findings[n] for n in names], _TOLD, between="; ")
    reason = f"{head}{': ' + sentence if sentence else ''}.{note}"
    return DriftVerdict(passed, tuple(names), share, policy.max_share, reason, findings, unjudged)


def _in_question(drifts: Sequence[FeatureDrift], policy: DriftPolicy) -> tuple[list[FeatureDrift], str]:
    """The features that some limit is about, and a sentence on the others."""
    beside = [kind for kind in _OF_KIND if not policy.judges(kind) and any(drift.kind == kind for drift in drifts)]
    sentence = "".join(f" No limit is about {KIND_IN_WORDS[kind]}, which are not judged." for kind in beside)
    return [drift for drift in drifts if drift.kind not in beside], sentence


def as_judged(drifts: Sequence[FeatureDrift], unjudged: Mapping[str, str]) -> list[FeatureDrift]:
    """The drifts as they may be told: what cannot be judged has its reason, and no number that says otherwise.

    Args:
        drifts: what `compare` returned.
        unjudged: of the verdict on them.
    """
    nothing: dict[str, Any] = dict.fromkeys(_NUMBERS)
    return [
        replace(drift, **nothing, why=unjudged[drift.feature]) if drift.feature in unjudged else drift
        for drift in drifts
    ]


def _remark(drift: FeatureDrift, policy: DriftPolicy) -> str:
    """What the PSI of a feature that has not drifted cannot say, or says and is no drift; else empty."""
    if policy.psi is None:
        return ""
    if drift.psi is not None and drift.psi > policy.psi:
        return (
            f"{drift.feature} has a PSI of {figure(drift.psi)}, which chance makes of its rare values in so few rows; "
            f"without that it is {figure(max(drift.psi_excess or 0.0, 0.0))}."
        )
    if drift.psi_rest_chance is not None and drift.psi_rest_chance >= policy.psi:
        return (
            f"Beside the most frequent values of {drift.feature} are so few rows that only a PSI over "
            f"{figure(CERTAIN * drift.psi_rest_chance)} would be drift of them. Give more rows."
        )
    return ""


def _too_few(drift: FeatureDrift, policy: DriftPolicy) -> str:
    """Why the rows cannot tell a PSI at the limit from none; empty if they can, or PSI is not asked."""
    if policy.psi is None:
        return ""
    is_text = drift.new_chance is not None
    if drift.psi_excess is None and is_text:
        return (
            f"of {drift.n_current:,} rows against {drift.n_reference:,} too few are in each of its categories. "
            "Group its values, or give more rows."
        )
    if drift.psi_chance is None or drift.psi_chance < policy.psi:
        return ""
    return (
        f"with {drift.n_current:,} rows against {drift.n_reference:,} chance alone makes a PSI of "
        f"{figure(drift.psi_chance)}, and the limit is {policy.psi:g}. Give more rows: "
        f"{_enough(drift, policy.psi):,} on either side{', or group its values' if is_text else ''}."
    )


def _enough(drift: FeatureDrift, limit: float) -> int:
    """Rows on either side with which chance stays below the limit: it shrinks as they grow."""
    assert drift.psi_chance is not None
    apart = 1.0 / drift.n_current + 1.0 / drift.n_reference
    return math.ceil(2.0 * drift.psi_chance / apart / limit / 10.0) * 10 + 10


def _finding(drift: FeatureDrift, policy: DriftPolicy) -> str:
    """Every limit that the feature breaks by more than chance, as one sentence; empty if none."""
    above = (
        ("PSI", "psi", policy.psi, figure, "g"),
        ("PSI beside its most frequent values", "psi_rest", policy.psi, figure, "g"),
        ("KL", "kl", policy.kl, figure, "g"),
        ("JS", "js", policy.js, figure, "g"),
        ("Wasserstein", "wasserstein", policy.wasserstein, figure, "g"),
        ("new categories", "new_share", policy.new_category_share, _share, ".1%"),
        ("missing share up by", "missing_change", policy.missing_change, _share, ".1%"),
        ("outside the range", "outside_share", policy.outside_share, _share, ".1%"),
    )
    below = (("KS p", drift.ks_p, policy.ks_p), ("chi-squared p", drift.chi2_p, policy.chi2_p))
    broken = [
        f"{name} {in_words(value)} over {limit:{form}}"
        for name, statistic, limit, in_words, form in above
        if (value := getattr(drift, statistic)) is not None
        and limit is not None
        and value > limit
        and is_beyond_chance(drift, statistic, limit, policy.psi)
    ]
    broken += [
        f"{name} {p_figure(v)} under {lim:g}" for name, v, lim in below if v is not None and lim is not None and v < lim
    ]
    return f"{drift.feature} {', '.join(broken)}" if broken else ""


def _share(value: float) -> str:
    return f"{value:.1%}"


def is_beyond_chance(drift: FeatureDrift, statistic: str, limit: float, psi_limit: float | None) -> bool:
    """Whether a statistic that is over a limit is so by more than chance makes of so many rows.

    Args:
        drift: of one feature.
        statistic: as the field of it is called.
        limit: of that statistic.
        psi_limit: of PSI, where it is asked: rows that cannot tell it from none have to show half as much again.
    """
    if statistic in ("psi", "kl", "js"):
        # Of categories that are all rare the PSI is nothing but chance. Held against the limit is what exceeds chance;
        # told is the statistic, as tables have it.
        excess = drift.psi if drift.psi_chance is None and drift.new_chance is None else drift.psi_excess
        moved = _beyond(excess, drift.psi_chance or 0.0, psi_limit)
        return moved and (statistic != "psi" or (excess is not None and excess > limit))
    if statistic == "psi_rest":
        return drift.psi_rest_chance is not None and _beyond(drift.psi_rest, drift.psi_rest_chance, psi_limit)
    chance = {"new_share": drift.new_chance, "missing_change": drift.missing_chance}.get(statistic)
    # Where that was not kept, it is.
    return chance is None or getattr(drift, statistic) > chance


def _beyond(value: float | None, chance: float, psi_limit: float | None) -> bool:
    few = psi_limit is not None and chance >= psi_limit
    return value is not None and value >= chance * (CERTAIN if few else 1.0)
