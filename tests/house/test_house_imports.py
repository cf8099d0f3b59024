"""Imports flow one way, core knows no tool, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mlops_assets"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# Each room may know itself and these.
MAY_IMPORT = {
    "core": set(),
    "landing": set(),
    "onboarding": {"core", "resources"},
    "dbt_plugin": set(),
    "feast_store": {"core", "resources"},
    "resources": {"core", "feast_store"},
    "components": {"core", "resources"},
    "defs": {"core", "resources", "components"},
    "definitions": {"core", "resources", "components", "defs"},
    "serving": {"core", "resources"},
    # A replay runs the real sensors and jobs.
    "replay": {"core", "resources", "components", "definitions", "landing"},
    "commands": {
        "core",
        "resources",
        "components",
        "defs",
        "definitions",
        "replay",
        "serving",
        "landing",
        "onboarding",
    },
    "cli": {"commands"},
    "__init__": set(),
}
HEAVY = {
    "dagster_mlflow",
    "pandera",
    "mlflow",
    "feast",
    "xgboost",
    "optuna",
    "evidently",
    "sklearn",
    "plotly",
}
# Whatever reaches a file, a socket or another process.
OUTSIDE = {
    "dagster",
    "dagster_mlflow",
    "dagster_dbt",
    "mlflow",
    "feast",
    "duckdb",
    "os",
    "io",
    "shutil",
    "glob",
}
OUTSIDE |= {"subprocess", "socket", "tempfile", "sqlite3", "urllib", "requests", "http", "fcntl", "pathlib"}
IN_CORE = {
    "core/svg.py": {"io"},  # a buffer in memory
    "core/families/skops_file.py": {"io"},  # the same
    "core/cores.py": {"os"},  # their number
}


def room(module: str) -> str:
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def anywhere(module: str) -> set[str]:
    return {name for node in ast.walk(tree(module)) for name in imported(node)}


def at_top(module: str) -> set[str]:
    return {name for node in outside_functions(tree(module)) for name in imported(node)}


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """Everything that runs when the module is imported; `if TYPE_CHECKING:` does not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from outside_functions(child)


def offenders(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    return {module: names for module, names in found.items() if names}


def test_imports_flow_one_way() -> None:
    found = {
        module: {name.split(".")[1] for name in anywhere(module) if name.startswith("mlops_assets.")}
        - MAY_IMPORT[room(module)]
        - {room(module)}
        for module in MODULES
    }
    assert offenders(found) == {}, "these import from a room above their own"


def test_core_knows_no_tool_and_no_file() -> None:
    found = {
        module: {name.split(".")[0] for name in anywhere(module)} & OUTSIDE - IN_CORE.get(module, set())
        for module in MODULES
        if room(module) == "core"
    }
    assert offenders(found) == {}, "this belongs in resources/"


def test_nothing_heavy_at_module_top() -> None:
    found = {
        module: {name.split(".")[0] for name in at_top(module)} & HEAVY
        for module in MODULES
        if room(module) != "feast_store"
    }
    assert offenders(found) == {}, "import these inside the function that needs them"


def test_the_feast_plug_in_loads_feast_alone() -> None:
    found = {
        module: {name.split(".")[0] for name in at_top(module)} & HEAVY - {"feast"}
        for module in MODULES
        if room(module) == "feast_store"
    }
    assert offenders(found) == {}


def test_definitions_import_little_at_top() -> None:
    allowed = {"dagster", "dagster_dbt", "pydantic", "mlops_assets"} | set(sys.stdlib_module_names)
    found = {
        module: {name.split(".")[0] for name in at_top(module)} - allowed
        for module in MODULES
        if room(module) in ("components", "defs")
    }
    assert offenders(found) == {}, "import these inside the function that needs them"


def loaded_after(code: str, home: Path, names: set[str]) -> list[str]:
    """Which of these modules a fresh Python has loaded after running this."""
    script = f"{code}\nimport sys; sys.stdout.write(' '.join(n for n in {sorted(names)!r} if n in sys.modules))"
    environment = {**os.environ, "MLOPS_HOME": str(home), "DAGSTER_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        cwd=PACKAGE.parent,
    )
    return done.stdout.split()


def test_commands_on_the_record_load_nothing_heavy(tmp_path: Path) -> None:
    lines = (
        "record show --help",
        "record show flight_delay",
        "why flight_delay",
        "pause flight_delay --reason test",
        "resume flight_delay --reason test",
        "retrain flight_delay --reason test",
        "freeze flight_delay --until 2999-12-31 --reason test",
        "unfreeze flight_delay --reason test",
        "approve --help",
        "quarantine list --json",
    )
    code = (
        "from typer.testing import CliRunner\nfrom mlops_assets.cli import app\n"
        f"for line in {lines!r}:\n"
        "    result = CliRunner().invoke(app, line.split())\n"
        "    assert result.exit_code == 0, result.output"
    )
    assert loaded_after(code, tmp_path, {"dagster", "pandas", "numpy", "duckdb", "pyarrow", *HEAVY}) == []


def test_status_loads_nothing_that_takes_seconds(tmp_path: Path) -> None:
    code = (
        "from typer.testing import CliRunner\nfrom mlops_assets.cli import app\n"
        "result = CliRunner().invoke(app, ['status'])\nassert result.exit_code == 0, result.output"
    )
    assert loaded_after(code, tmp_path, {"dagster", "pandas", "duckdb", *HEAVY}) == []


@pytest.mark.slow
def test_the_code_location_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "from mlops_assets.definitions import defs\ndefs().get_repository_def()"
    assert loaded_after(code, tmp_path, HEAVY) == []
