"""`mlops doctor`: whether everything is sound, and what to fix.

Here: the command. Not here: the checks (`steps.keep.doctor`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import AsJson, example, known_model, say, say_json, say_table
from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.home import Home
from mlops_assets.world.project import PROJECT


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops doctor", "mlops doctor flight_delay --json"))(doctor)


def doctor(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Look at this model only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the installation and every model from YAML to the sensors; what is broken ends it with exit code 1.

    It looks at the project's own files, Python and dbt, the disk, the YAML, the dbt project, each model's sources,
    calendar and champion, landing, Feast and the sensors, and says what to fix.
    """
    from dataclasses import asdict

    from mlops_assets.onboarding.projects import upgrade
    from mlops_assets.steps.keep.doctor import Finding, examine

    needs = upgrade.examine(PROJECT)
    todo = "mlops upgrade --check says what, mlops upgrade changes it." if needs.to_do else ""
    findings = [Finding("project", "warning" if todo else "good", needs.in_words, todo)]
    findings += examine(Home.from_environment(), [known_model(model)] if model else [])
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        rows = [(f.about, f.state, f.what, f.fix) for f in findings]
        say_table("Checked", ["part", "state", "found", "fix"], rows)
        count = {state: sum(f.state == state for f in findings) for state in ("good", "warning", "broken")}
        say(f"{count['good']} good, {counted(count['warning'], 'warning')}, {count['broken']} broken.")
    if any(f.state == "broken" for f in findings):
        raise typer.Exit(1)
