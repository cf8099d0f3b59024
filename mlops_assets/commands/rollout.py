"""`mlops rollback` and `mlops rollout`: going back at once, and where a candidate stands.

Here: the two commands. Not here: the moves (`steps.rollout.moves`), the alias and the record
(`steps.rollout.reverting`).
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.commands.choosing import for_chosen
from mlops_assets.commands.console import (
    AsJson,
    By,
    ModelName,
    Reason,
    example,
    given,
    known_model,
    minute,
    person,
    say,
    say_json,
    say_table,
)
from mlops_assets.core.record.entries import Snooze
from mlops_assets.core.record.plain_values import as_plain

if TYPE_CHECKING:
    from mlops_assets.core.settings import ModelSettings
    from mlops_assets.world.platform import Platform


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=example(
            "mlops rollback flight_delay --reason 'complaints since Monday'",
            "mlops rollback flight_delay --to 3 --reason 'the last one before the new feed'",
            "mlops rollback --owner team:flights --reason 'the feed was wrong since Monday'",
        )
    )(for_chosen(rollback, of_one_model="to"))
    app.command(epilog=example("mlops rollout flight_delay"))(rollout)


def rollback(
    model: str,
    reason: Reason,
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Who becomes champion.", show_default="see above")
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> Any:
    """Go back at once, and let trainings wait until someone wakes them or the agreed time is over.

    Without --to: a candidate in a canary stops answering and the champion stays; otherwise the version before the
    champion answers again, never one that was left before. A candidate in shadow ends with it, for its opponent is
    gone. The version's file is verified first. Freeze and pause do not stop this.
    """
    from mlops_assets.world.platform import Platform

    given_reason = given(reason)
    platform = Platform.of()
    settings = platform.models()[model]
    open_client(platform)
    began = time.perf_counter()
    done = _go_back(platform, settings, to, given_reason, by or person())
    done["seconds"] = round(time.perf_counter() - began, 3)
    if as_json:
        return done
    say(f"{done['did']} It took {done['seconds']:.2f} s; servers follow within two.")
    if done["trainings_wait_until"]:
        until = minute(done["trainings_wait_until"])
        say(f"Trainings of {model} wait until {until} UTC, or until `mlops wake {model} --reason '...'`.")
    return None


def open_client(platform: Platform) -> None:
    """Load MLflow's modules and connect: seconds of a fresh process that are no part of going back."""
    platform.registry.client.search_registered_models(max_results=1)


def _go_back(platform: Platform, model: ModelSettings, to: int | None, reason: str, by: str) -> dict[str, Any]:
    from mlops_assets.steps.rollout.moves import finish, leave, policy_of, stop
    from mlops_assets.steps.rollout.reverting import version_before

    finish(platform, model)
    opened = platform.registry.rollout(model.name)
    before = platform.registry.champion(model.name)
    if to is None and opened is not None and opened.state == "canary":
        stop(platform, model, reason=reason, by=by)
        did = f"Version {opened.version} answers nothing more; version {opened.champion} answers everything."
    else:
        version = to if to is not None else version_before(platform, model)
        if before is not None and before.version == version:
            raise ValueError(f"Version {version} of {model.name} is the champion already; nothing was changed.")
        pause = timedelta(hours=policy_of(model).pause)
        leave(platform, model, version, reason=reason, by=by, pause=pause)
        did = f"Version {version} answers again, in place of version {before.version if before else 'none'}."
    after = platform.registry.champion(model.name)
    snooze = platform.ledger.record.standing(model.name, Snooze)
    return {
        "did": did,
        "champion": after.version if after else None,
        "before": before.version if before else None,
        "trainings_wait_until": snooze.until.isoformat() if snooze else None,
    }


def rollout(model: ModelName, as_json: AsJson = False) -> None:
    """Show where a candidate stands, what was measured of it, what comes next, and the moves so far."""
    from mlops_assets.pages.rollout import state_in_words
    from mlops_assets.steps.rollout.moves import look, moves, rollout_in_words
    from mlops_assets.world.platform import Platform

    platform = Platform.of()
    settings = platform.models()[known_model(model)]
    history, now = moves(platform, settings), look(platform, settings)
    rails = now.move.guardrails if now else ()
    if as_json:
        opened = platform.registry.rollout(model)
        say_json(
            {
                "rollout": as_plain(opened) if opened else None,
                "next": now.move.reason if now else None,
                "guardrails": [vars(rail) for rail in rails],
                "moves": [move.to_dict() for move in history],
            }
        )
        return
    if settings.rollout is None:
        say(f"{model} has no rollout: what passes the gate is champion at once. See docs/rollout.md.")
    say(rollout_in_words(platform, settings) or f"No rollout of {model} is open.")
    if now:
        say(f"At the next look: {now.move.reason}")
    if rails:
        held = [(rail.name, "holds" if rail.holds else "broken", rail.sentence) for rail in rails]
        say_table("Guardrails", ["guardrail", "result", "what was found"], held)
    if history:
        columns = ["time (UTC)", "candidate", "state", "why"]
        told_moves = [(minute(m.at), f"version {m.version}", state_in_words(m), m.reason) for m in history[-20:]]
        say_table("Moves", columns, told_moves)
