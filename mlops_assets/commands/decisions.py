"""`mlops decide`: what would be decided about a model now; and an entry of the record in words.

Here: the command, and `entry_in_words`. Not here: deciding (`core.decide.policy`), gathering evidence
(`steps.decide.evidence`), one decision in one screen (`why`), with all that belongs to it (`explain`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import (
    AsJson,
    ModelName,
    example,
    known_model,
    minute,
    say,
    say_entry,
    say_json,
)
from mlops_assets.core.record.entries import (
    Approval,
    Decision,
    Freeze,
    OnRecord,
    OutcomeFound,
    QueueMove,
    Refusal,
    RolloutMove,
    Snooze,
    WorseThanGuessing,
)
from mlops_assets.core.record.wording import answer_told, reasons_told

if TYPE_CHECKING:
    pass


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "mlops decide flight_delay --dry-run", "mlops decide flight_delay --dry-run --policy bolder.yaml"
        )
    )(decide)


def entry_in_words(entry: OnRecord) -> tuple[str, str]:
    """What an entry of the record says: what happened, and why."""
    if isinstance(entry, Decision):
        return answer_told(entry.action, entry.rule), " ".join(reasons_told(entry.action, entry.reasons))
    version, by = getattr(entry, "version", None), getattr(entry, "by", None)
    what = f"{entry.kind} of version {version}" if version is not None else entry.kind
    if isinstance(entry, OutcomeFound | WorseThanGuessing):
        what += f": {entry.result.replace('_', ' ')}"
    elif isinstance(entry, RolloutMove):
        from mlops_assets.pages.rollout import state_in_words

        what += f": {state_in_words(entry)}"
    elif isinstance(entry, QueueMove):
        moved = "left the queue" if entry.move == "left" else "came back to the queue"
        what = f"the training of decision {entry.decision} {moved}"
    elif isinstance(entry, Freeze | Snooze):
        what += f" until {minute(entry.until)}"
    elif isinstance(entry, Approval | Refusal):
        what += f" of decision {entry.decision}"
    did = f" {entry.did}" if isinstance(entry, WorseThanGuessing) and entry.did else ""
    return what, f"{getattr(entry, 'reason', '')}{did}{f' ({by})' if by else ''}"


def decide(
    model: ModelName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it and write nothing; the only way.")] = False,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML with fields of `retrain:` to try in place of the model's own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what would be decided about a model now, with reasons and with what would have changed it.

    Only the sensor decides in earnest: a decision on record starts its run. To ask for a training yourself:
    mlops retrain.
    """
    known_model(model)
    if not dry_run:
        raise ValueError(
            "Only the retrain sensor puts decisions on record, because one to retrain starts a run. See what "
            "it would decide with --dry-run, or ask for a training: "
            f"`mlops retrain {model} --reason '...'`. Nothing was written."
        )
    from mlops_assets.core.decide.policy import decide as conclude
    from mlops_assets.simulate.policy_files import other_policy
    from mlops_assets.steps.decide.evidence import consider, history
    from mlops_assets.steps.decide.upcoming import data_first
    from mlops_assets.world.clock import NoDataYet
    from mlops_assets.world.platform import Platform

    platform = Platform.of()
    settings = platform.models()[model]
    other = other_policy(settings.retrain_policy, policy) if policy else None
    first = data_first(platform, settings)
    try:
        decision, evidence, news = consider(platform, settings, explained=True)
    except NoDataYet as error:
        paused = platform.ledger.record.paused(model)
        pause_note = f"{model} is paused: {paused}. " if paused else ""
        raise NoDataYet(f"{pause_note}Nothing can be decided yet. {first or error}") from error
    # The same evidence at the same moment: only the policy is another.
    instead = conclude(evidence, other, history(platform, model), decision.at) if other else None
    if as_json:
        more = {"with_policy": instead.to_dict(), "differs": _differ(decision, instead)} if instead else {}
        say_json({**decision.to_dict(), "is_news": news, **more})
        return
    if instead and _differ(decision, instead):
        say("With the policy of the model's YAML:")
    # What is in quarantine is the reason of such a decision already.
    comes_first = first if decision.rule != "data" else ""
    if comes_first:
        say(escape(f"{first} Until then:"))
    _say_decision(decision)
    if instead and _differ(decision, instead):
        say(f"With the policy of {policy}:")
        _say_decision(instead)
    elif instead:
        say(f"The policy of {policy} gives the same answer.")
    say("On record there is no such decision yet." if news else "Such a decision is on record already.")
    say("Nothing was written.")


def _differ(decision: Decision, other: Decision) -> bool:
    """Whether two policies answer differently: by what they do, or by the rule they do it by."""
    return (decision.action, decision.rule) != (other.action, other.rule)


def _say_decision(decision: Decision) -> None:
    say(f"[bold]{answer_told(decision.action, decision.rule)}[/bold], at {minute(decision.at)} UTC")
    say_entry("Because", "\n".join(reasons_told(decision.action, decision.reasons)))
    if decision.counterfactuals:
        say_entry("What would have changed it", "\n".join(c.sentence for c in decision.counterfactuals))
