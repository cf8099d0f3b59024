"""`mlops approve` and `mlops reject`: a person's answer to what a model's policy proposes.

Here: the commands. Not here: which proposal stands (`steps.decide.proposals`), doing it (the model's retrain sensor).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands import running
from mlops_assets.commands.console import By, ModelName, Reason, example, given, known_model, person, say
from mlops_assets.steps.decide.proposals import answer, open_proposal
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record

Proposal = Annotated[
    str | None,
    typer.Argument(
        metavar="[DECISION]", help="Its id, or the first characters of it.", show_default="the newest proposal"
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=example("mlops approve flight_delay", "mlops approve flight_delay b49d55db --by ana"))(approve)
    app.command(epilog=example("mlops reject flight_delay b49d55db --reason 'the route changes next week'"))(reject)


def approve(
    model: ModelName,
    decision: Proposal = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.", show_default="none")] = "",
    by: By = None,
) -> None:
    """Agree to what was proposed (`retrain.mode: propose`): the model's retrain sensor does it.

    It holds for this proposal: once a window closes, the probe looks again or the champion changes, the evidence is
    another and a person is asked anew.
    """
    home = Home.from_environment()
    record = Record(home.ledger)
    proposal = open_proposal(record, known_model(model), decision)
    what = proposal.action.removeprefix("propose_")
    if not answer(record, model, proposal, approved=True, by=by or person(), reason=reason.strip()):
        say(f"The proposal {proposal.id} ({what}) is approved already; nothing was written.")
        return
    up = running.of(home)
    who = f"within a minute: {up.dagster}" if up else "as soon as `mlops up` runs"
    say(f"Approved: {what} of {model} (decision {proposal.id}). The retrain sensor does it {who}")


def reject(model: ModelName, reason: Reason, decision: Proposal = None, by: By = None) -> None:
    """Decline what was proposed: it is not proposed again before the evidence is another."""
    record = Record(Home.from_environment().ledger)
    given_reason = given(reason)
    proposal = open_proposal(record, known_model(model), decision)
    what = proposal.action.removeprefix("propose_")
    if not answer(record, model, proposal, approved=False, by=by or person(), reason=given_reason):
        say(f"The proposal {proposal.id} ({what}) is rejected already; nothing was written.")
        return
    say(f"Rejected: {what} of {model} (decision {proposal.id}). The champion stays.")
