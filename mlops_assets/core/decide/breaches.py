"""Failed checks in a row: what asks for a retraining where the probe has not been able to look.

Here: runs of failures that are long enough and current, and telling them. Not here: the checks (`drift`,
`performance.window_metrics`), what else asks (`rules`).
"""

from __future__ import annotations

from mlops_assets.core.decide.evidence import CheckKind, CheckResult, Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.retrain_policy import RetrainPolicy


def breaches(
    evidence: Evidence, policy: RetrainPolicy, history: History, kind: CheckKind
) -> list[tuple[CheckResult, ...]]:
    """For each check of `kind`, its newest run of failures that is long enough and current (see `policy.decide`)."""
    answered = history.answered_until
    by_name: dict[str, list[CheckResult]] = {}
    for check in evidence.checks:
        if check.kind == kind and (answered is None or check.window_end > answered):
            by_name.setdefault(check.name, []).append(check)
    current_runs = []
    for name in sorted(by_name):
        runs = _failed_runs(by_name[name])
        last = by_name[name][-1]
        seen = history.judged_until(name)
        for run in reversed(runs):
            fresh = seen is None or run[-1].window_end > seen
            if len(run) >= policy.breaches_needed(kind) and (run[-1] is last or fresh):
                current_runs.append(run)
                break
    return current_runs


def last_failures(evidence: Evidence, history: History) -> list[CheckResult]:
    """Checks whose newest answer since the last training is a failure, by name.

    Performance is judged windows later than inputs, so the newest answer need not be about the newest window.
    """
    answered = history.answered_until
    judged = {
        c.name: c for c in evidence.checks if c.passed is not None and (answered is None or c.window_end > answered)
    }
    return [judged[name] for name in sorted(judged) if judged[name].passed is False]


def _failed_runs(results: list[CheckResult]) -> list[tuple[CheckResult, ...]]:
    runs: list[list[CheckResult]] = [[]]
    for check in results:
        if check.passed is False:
            runs[-1].append(check)
        elif runs[-1]:
            runs.append([])
    return [tuple(run) for run in runs if run]


def tell(run: tuple[CheckResult, ...], policy: RetrainPolicy) -> str:
    """A run of failures in words."""
    last = run[-1]
    where = f"in window {last.window}" if len(run) == 1 else f"in {len(run)} windows up to {last.window}"
    numbers = last.sentence or (
        f"value {last.value:.4g}, limit {last.limit:.4g}" if last.value is not None and last.limit is not None else ""
    )
    needed = f" ({policy.breaches_needed(last.kind)} in a row needed)"
    return f"{last.name} failed {where}{needed}{': ' + numbers if numbers else ''}."
