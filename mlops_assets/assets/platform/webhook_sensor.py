"""The sensor that tells other systems what happens to the models.

Here: one tick: what is new since each receiver's place. Not here: sending it (`world.alerts.webhooks`), what an event
says (`core.record.outgoing`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from mlops_assets.assets.platform.sensors import ON
from mlops_assets.core.record.outgoing import EventKind, of_drift, of_entry
from mlops_assets.core.record.plain_values import counted
from mlops_assets.steps.decide.revisions import stamp_of_files
from mlops_assets.steps.watch.windows.summaries import WindowSummary, summaries, within
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.webhooks import URLS, Next, Reached, Sent, Webhooks
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform

PATIENCE = timedelta(hours=1)
"""A receiver that takes nothing for so long is told to a person."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=ON,
    description=f"Tells the receivers of {URLS} what happens: decisions, promotions, rejections, rollbacks, drift.",
)
@looked_at_once()
def webhook_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SkipReason:
    """Tells the receivers what happens to the models."""
    if platform.home.settings.landing:
        return dg.SkipReason("A replay tells nobody.")
    try:
        webhooks = Webhooks.from_environment(platform.home.root)
    except ValueError as error:
        return dg.SkipReason(str(error))
    if not webhooks.urls:
        return dg.SkipReason(f"No receiver: {URLS} is not set.")
    sent = webhooks.deliver(partial(_after, platform), partial(_now, platform))
    for each in sent:
        _tell(alerts, each)
    return dg.SkipReason(". ".join(_in_words(each) for each in sent))


def _after(platform: Platform, reached: Reached, kinds: frozenset[EventKind]) -> Iterator[Next]:
    """What comes after a place, model by model: what has drifted, then what was made of it, in the record's order."""
    for model, settings in platform.models().items():
        # Before they are read: what is written in between is news at the next tick.
        if (stamp := _stamp(platform, model)) == reached.files.get(model):
            continue
        if platform.ledger.record.damage(model):
            continue  # It is an incident of its own, and hides no other model.
        # Read first: the windows that a decision rests on were there before it.
        entries = platform.ledger.entries(model)
        since = reached.windows.get(model, _BEGINNING)
        for window in summaries(platform.lake, model, "drift", WindowSummary, since=within(settings, since)):
            if window.end <= since:
                continue
            failed = [check for check in window.checks if check.passed is False and "drift" in kinds]
            for check in failed:
                event = of_drift(
                    model, check.name, check.window, check.window_end,
                    value=check.value, limit=check.limit, reason=check.sentence,
                )  # fmt: skip
                yield event, reached
            reached = reached.past_window(model, window.end)
            yield None, reached
        passed = reached.entries.get(model, 0)
        for number, entry in enumerate(entries[passed:], start=passed + 1):
            of_record = of_entry(entry, number)
            reached = reached.past_entry(model, number)
            yield of_record if of_record and of_record.kind in kinds else None, reached
        reached = reached.past_files(model, stamp)
        yield None, reached


def _stamp(platform: Platform, model: str) -> str:
    """Changes when something is put on a model's record or its drift is judged."""
    record = platform.ledger.record
    return stamp_of_files(record.file(model), record.head_file(model), platform.lake.folder("reports", model, "drift"))


def _now(platform: Platform) -> Reached:
    """The place at which nothing is new."""
    entries: dict[str, int] = {}
    windows: dict[str, datetime] = {}
    files: dict[str, str] = {}
    for model in platform.models():
        files[model] = _stamp(platform, model)
        if platform.ledger.record.damage(model):
            files.pop(model)
        else:
            entries[model] = len(platform.ledger.entries(model))
        ends = [window.end for window in summaries(platform.lake, model, "drift", WindowSummary)]
        windows[model] = max(ends, default=_BEGINNING)
    return Reached(entries, windows, files=files)


def _tell(alerts: Alerts, sent: Sent) -> None:
    key = f"webhook/{sent.receiver}"
    if sent.refusing is None:
        alerts.end(key, f"{sent.host} takes events again.")
    elif datetime.now(UTC) - sent.refusing > PATIENCE:
        since = f"{sent.refusing:%Y-%m-%d %H:%M} UTC"
        alerts.send(
            incident=f"{key}/{sent.refusing.isoformat()}",
            key=key,
            happened=f"The webhook at {sent.host} has taken no event since {since}: {sent.why}.",
            did="Events wait for it in their order; nothing is lost.",
            do=f"Correct the receiver, or take it out of {URLS}.",
            runbook="webhook",
        )


def _in_words(sent: Sent) -> str:
    head = f"{sent.host} took {counted(sent.events, 'event')}"
    return f"{head}, and has taken none since {sent.refusing:%Y-%m-%d %H:%M} UTC ({sent.why})" if sent.why else head
