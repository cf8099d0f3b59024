"""The look-ahead guard as an asset check of every feature view, in a job of its own.

Here: the checks, their job, and the sensor that starts it: when a view's code has changed, and once a week. Not here:
the guard (`steps.features.look_ahead`). No landing run does it: computing features again at each landing would cost
more than the landing, and finds nothing new of the same code and the same weeks.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.assets.metadata import markdown_value
from mlops_assets.assets.platform.sensors import ON
from mlops_assets.assets.retries import OUTSIDE_RETRY
from mlops_assets.core.features.look_ahead import CHECK, LookAhead, Peek
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.platform import DBT_PROJECT, Platform

SPECS = [
    dg.AssetCheckSpec(
        CHECK,
        asset=dg.AssetKey(view.name),
        description="Features of the newest days, computed again as of moments of the past, are those of today.",
    )
    for view in load_catalogue(DBT_PROJECT).views
]


@dg.multi_asset_check(name="look_ahead_guard", specs=SPECS, can_subset=True, retry_policy=OUTSIDE_RETRY)
def look_ahead_guard(
    context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> Iterator[dg.AssetCheckResult]:
    """Look at the selected views; what has no rows yet gets no result."""
    wanted = [key.asset_key.path[-1] for key in sorted(context.selected_asset_check_keys)]
    peeking = []
    for view, look in _looks(platform, wanted):
        if isinstance(look, str):
            yield _result(view, passed=False, description=look, severity=dg.AssetCheckSeverity.WARN)
        elif look.passed is None:
            context.log.info(look.sentence)
        else:
            yield _result(view, passed=look.passed, description=look.sentence, metadata=_shown(look))
            peeking += [] if look.passed else [look]
    if peeking:
        alerts.send(
            incident=f"look-ahead-{context.run.run_id}",
            happened=" ".join(look.sentence for look in peeking)[:2000],
            did="Nothing is stopped; models trained on these features look better than they will be.",
            do="Correct the SQL, or `known_at` in the source's YAML; the check shows the rows.",
            runbook="look-ahead",
            key="look-ahead/views",
            run=context.run.run_id,
        )


def _looks(platform: Platform, views: Sequence[str]) -> Iterator[tuple[str, LookAhead | str]]:
    """What the guard finds of each view, or why one cannot be computed; that stops none of the others."""
    from mlops_assets.steps.features.look_ahead import CannotGuard, guard

    left = list(views)
    while left:
        try:
            for look in guard(
                platform.home, DBT_PROJECT, platform.catalogue, platform.sources.settings(), views=tuple(left)
            ):
                left.remove(look.view)
                yield look.view, look
        except CannotGuard as error:
            yield left.pop(0), str(error)


def _result(
    view: str,
    *,
    passed: bool,
    description: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    metadata: dict[str, dg.MetadataValue] | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(view),
        check_name=CHECK,
        passed=passed,
        severity=severity,
        description=description,
        metadata=metadata or {},
    )


def _shown(look: LookAhead) -> dict[str, dg.MetadataValue]:
    """How much was compared, and some rows of each feature that peeks, under its name."""
    shown: dict[str, dg.MetadataValue] = {
        "rows_compared": dg.MetadataValue.int(look.rows),
        "as_of": dg.MetadataValue.json([moment.isoformat() for moment in look.moments]),
    }
    return shown | {_named(peek): markdown_value(_rows(peek)) for peek in look.peeks}


def _named(peek: Peek) -> str:
    return "rows that come or go" if peek.is_of_rows else peek.feature


def _rows(peek: Peek) -> str:
    return markdown_table([list(row.values()) for row in peek.sample], header=list(peek.sample[0]))


look_ahead_job = dg.define_asset_job(
    "look_ahead",
    selection=dg.AssetSelection.checks(*(spec.key for spec in SPECS)),
    description="Computes feature views again as of moments of the past; a feature that differs looks ahead.",
    executor_def=dg.in_process_executor,
)


@dg.sensor(
    job=look_ahead_job,
    minimum_interval_seconds=300,
    default_status=ON,
    description="Looks whether features look ahead when the code of one has changed, and once a week.",
)
def look_ahead_sensor(platform: dg.ResourceParam[Platform]) -> dg.RunRequest | dg.SkipReason:
    """One run for each state of the views' code and each week; the run key holds both."""
    good = platform.sources.good()
    codes = {view.name: view.code for view in platform.catalogue.views if all(good.get(name) for name in view.sources)}
    if not codes:
        return dg.SkipReason("No feature view has data yet.")
    today = datetime.now(UTC).date() if platform.home.settings.clock == "wall" else platform.sources.newest_end()
    week = today.strftime("%G-W%V") if today else ""
    state = hashlib.sha256(json.dumps(codes, sort_keys=True).encode()).hexdigest()[:16]
    return dg.RunRequest(
        run_key=f"look-ahead-{week}-{state}",
        asset_check_keys=[spec.key for spec in SPECS if spec.asset_key.path[-1] in codes],
    )
