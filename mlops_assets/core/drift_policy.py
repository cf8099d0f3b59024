"""When moved features are drift: presets, limits, and the verdict.

Here: the policy of drift and the verdict by it. Not here: the statistics (`drift_compare`), what follows from
a verdict (`policy`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from mlops_assets.core.drift_compare import FeatureDrift

KL_LIMIT = 0.15
TOLD = 5
"""Features told one by one in a reason."""


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

    psi: float | None = 0.2
    ks_p: float | None = None
    chi2_p: float | None = None
    kl: float | None = None
    js: float | None = None
    wasserstein: float | None = None
    new_category_share: float | None = 0.05
    missing_change: float | None = 0.1
    outside_share: float | None = None
    max_share: float = 0.05

    def __post_init__(self) -> None:
        for f in fields(DriftPolicy):
            value = getattr(self, f.name)
            if value is not None and value < 0:
                msg = f"drift.{f.name} is {value}: set it to zero or more, or leave it out"
                raise ValueError(msg)

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DriftVerdict:
    """`passed` is None if no feature could be judged; `share`: drifted among judged features."""

    passed: bool | None
    drifted: tuple[str, ...]
    share: float | None
    limit: float
    reason: str
    findings: Mapping[str, str]


def drift_verdict(drifts: Sequence[FeatureDrift], policy: DriftPolicy) -> DriftVerdict:
    """Whether so many features have drifted that the policy calls it drift.

    Args:
        drifts: what `compare` returned.
        policy: the limits.

    Returns:
        `findings` has a sentence for every drifted feature; features that could not be judged are named in
        the reason and count neither way, unless their missing share alone is over its limit.
    """
    findings = {d.feature: told for d in drifts if (told := _finding(d, policy))}
    judged = [d for d in drifts if d.why is None or d.feature in findings]
    unjudged = [d for d in drifts if d.why is not None and d.feature not in findings]
    note = "".join(f" {d.feature} cannot be judged: {d.why}" for d in unjudged[:TOLD])
    if len(unjudged) > TOLD:
        note += f" Nor can {len(unjudged) - TOLD} others."
    if not judged:
        return DriftVerdict(None, (), None, policy.max_share, f"No feature could be judged.{note}", findings)
    share = len(findings) / len(judged)
    passed = share <= policy.max_share
    have = "has" if len(findings) == 1 else "have"
    head = f"{len(findings)} of {len(judged)} features {have} drifted ({share:.0%}, at most {policy.max_share:.0%} may)"
    psi = {d.feature: d.psi or 0.0 for d in drifts}
    names = sorted(findings, key=lambda n: -psi[n])
    told = "; ".join(findings[n] for n in names[:TOLD]) + (f"; {len(names) - TOLD} more" if len(names) > TOLD else "")
    reason = f"{head}{': ' + told if told else ''}.{note}"
    return DriftVerdict(passed, tuple(names), share, policy.max_share, reason, findings)


def _finding(drift: FeatureDrift, policy: DriftPolicy) -> str:
    """Every limit that the feature breaks, as one sentence; empty if none."""
    above = (
        ("PSI", drift.psi, policy.psi),
        ("KL", drift.kl, policy.kl),
        ("JS", drift.js, policy.js),
        ("Wasserstein", drift.wasserstein, policy.wasserstein),
        ("new categories", drift.new_share, policy.new_category_share),
        ("missing share up by", drift.missing_change, policy.missing_change),
        ("outside the range", drift.outside_share, policy.outside_share),
    )
    below = (("KS p", drift.ks_p, policy.ks_p), ("chi-squared p", drift.chi2_p, policy.chi2_p))
    told = [f"{name} {v:.3g} over {lim:g}" for name, v, lim in above if v is not None and lim is not None and v > lim]
    told += [f"{name} {v:.2g} under {lim:g}" for name, v, lim in below if v is not None and lim is not None and v < lim]
    return f"{drift.feature} {', '.join(told)}" if told else ""
