"""`mlops explain`: one decision as a person reads it.

Here: the command and its page in the terminal. Not here: collecting and replaying (`steps.decide.explanation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlops_assets.commands.console import AsJson, example, minute, say, say_entry, say_json, say_table
from mlops_assets.commands.decisions import entry_in_words
from mlops_assets.core.record.entries import ACTED, PROPOSALS
from mlops_assets.core.record.wording import answer_told, reasons_told
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.steps.decide.explanation import Explanation


_SHOWN = 12
"""Checks in the table: those of the newest windows."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops explain b49d55db", "mlops explain b49d55dbd596def0 --json"))(explain)


def explain(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="Its id, or the first characters of it.")],
    as_json: AsJson = False,
) -> None:
    """Explain a decision: evidence, policy, reason, what came of it, and what would have changed it.

    What would have changed it is not only said: the decision is replayed with the change made, on what was known then.
    """
    from mlops_assets.steps.decide.explanation import explain as explained

    explanation = explained(Home.from_environment(), decision)
    if as_json:
        say_json(explanation.to_dict())
    else:
        _say(explanation)


def _say(explanation: Explanation) -> None:
    entry = explanation.decision
    action = entry.action.replace("_", " ")
    where = f"{entry.model} at {minute(entry.at)} UTC"
    say(f"[bold]{answer_told(entry.action, entry.rule)}[/bold]: {where} ({entry.id})")
    say_entry("Because", "\n".join(reasons_told(entry.action, entry.reasons)))
    say_table("Evidence", ["what", "value"], list(_facts(entry.evidence)))
    checks = entry.evidence.get("checks")
    if checks:
        shown = checks[-_SHOWN:]
        say(f"Checks{f' (the newest {_SHOWN} of {len(checks)}; --json has all)' if len(checks) > _SHOWN else ''}")
        for check in shown:
            say_entry(
                f"  {check['window']}  {check['name']} [bold]{_answer(check['passed'])}[/bold]", check["sentence"]
            )
    say_table("Policy", ["field", "value"], list(entry.policy.items()))
    _say_what_came(explanation)
    _say_flips(explanation, action)


def _facts(evidence: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What was known besides the checks; empty fields are left out."""
    for name, value in evidence.items():
        if name == "checks" or value in (None, "", [], ()):
            continue
        if name == "champion_since":
            yield name.replace("_", " "), f"{minute(value)} UTC"
        elif name == "probe":
            yield name, value["sentence"]
        elif name in ("frozen", "snoozed"):
            yield name, f"until {minute(value['until'])} UTC by {value['by']}: {value['reason']}"
        elif name == "triggers":
            yield from ((result["name"], result["sentence"]) for result in value)
        elif name == "novelty":
            yield name, f"{value['share']:.1%} of the rows of {value['window']} are unlike those it was trained on"
        elif name == "answer":
            said = "approved" if value["approved"] else "rejected"
            yield name, f"{value['by']} {said} decision {value['decision']} {value['reason']}".strip()
        elif isinstance(value, bool):
            yield name.replace("_", " "), "yes" if value else "no"
        else:
            yield name.replace("_", " "), " ".join(value) if isinstance(value, list) else value


def _say_what_came(explanation: Explanation) -> None:
    rows = [(minute(entry.at), *entry_in_words(entry)) for entry in explanation.came_of_it]
    rows += [("", f"run {run['run_id']}", f"{run['job']}: {run['status'].lower()}") for run in explanation.runs]
    if rows:
        say_table("What came of it", ["time (UTC)", "what", "how"], rows)
    elif explanation.decision.action in PROPOSALS:
        say(f"It waits for a person: mlops approve|reject {explanation.decision.model} {explanation.decision.id}")
    elif explanation.decision.action in ACTED:
        say("Nothing has come of it yet: no run, no promotion, no rejection.")
    else:
        say("Nothing came of it, and nothing had to: it asked for no run.")


def _say_flips(explanation: Explanation, action: str) -> None:
    if explanation.replayed is None:
        say(f"What would have changed it cannot be shown. {escape(explanation.not_replayed)}")
        return
    if explanation.replayed == explanation.decision.action:
        say(f"Replayed on the same evidence, policy and history, the answer is the same: {action}.")
    else:
        answer = explanation.replayed.replace("_", " ")
        say(f"Replayed on the same evidence, today's code answers {answer}: its rules have changed since.")
    if explanation.flips:
        rows = [(flip.sentence, flip.answer.replace("_", " ")) for flip in explanation.flips]
        say_table("What would have changed it, each replayed", ["change", "answer"], rows)
    else:
        say("No single change of evidence or policy that is tried leads to another answer.")


def _answer(passed: bool | None) -> str:
    return {True: "passed", False: "failed", None: "cannot judge"}[passed]
