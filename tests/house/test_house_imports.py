"""Imports flow one way, core knows no tool, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mlops_assets"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# From the bottom to the top: each room may know itself and those before it in this order ...
STRATA = (
    ("core",),
    ("pages", "feast_store", "landing", "dbt_plugin"),
    ("world",),
    ("steps",),
    ("resources",),
    ("assets", "serving", "onboarding"),
    ("components",),
    ("defs",),
    ("definitions",),
    ("simulate",),
    ("commands",),
    ("cli",),
    ("__init__",),
)
# ... except these, which stand alone or know less.
KNOWS_LESS = {
    "landing": set(),
    "dbt_plugin": set(),
    "pages": {"core"},
    "feast_store": {"core", "world"},
    "onboarding": {"core", "world"},
    "serving": {"core", "world", "steps"},
    "assets": {"core", "pages", "world", "steps"},
    "components": {"assets"},
    "resources": {"world"},
    "cli": {"commands"},
    "__init__": set(),
}
# The steps in the order of the data: one knows itself and those before it.
STEPS = ("land", "features", "predict", "watch", "rollout", "decide", "promote", "keep")
# The rooms of the pure half: what knows what, so that a new arrow is a decision.
CORE = {
    "time": set(),
    "limits": {"time"},
    "values": {"time"},
    "stats": {"limits"},
    "sources": {"limits", "time", "values"},
    "features": {"sources", "time", "values"},
    "models": {"limits", "stats", "time", "values"},
    "drift": {"limits", "models", "stats", "values"},
    "record": {"time"},
    "performance": {"limits", "models", "record", "stats", "time"},
    "decide": {"drift", "limits", "models", "performance", "record", "stats", "time"},
    "promote": {"limits", "models", "performance", "record", "stats", "values"},
    "rollout": {"drift", "limits", "record", "stats"},
    "simulate": {"decide", "drift", "models", "promote", "stats", "time"},
}
MOST_FILES = 18
# A topic of the command line a file.
MAY_BE_FULL = {"commands"}
HEAVY = {
    "dagster_mlflow",
    "pandera",
    "mlflow",
    "feast",
    "xgboost",
    "optuna",
    "evidently",
    "sklearn",
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
    "pages/svg.py": {"io"},  # a buffer in memory
    "core/models/families/skops_file.py": {"io"},  # the same
    "core/models/cores.py": {"os"},  # their number
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


def may_import(module: str) -> set[str]:
    here = room(module)
    if here in KNOWS_LESS:
        return KNOWS_LESS[here]
    place = next(i for i, stratum in enumerate(STRATA) if here in stratum)
    return {name for stratum in STRATA[:place] for name in stratum}


def dotted(module: str) -> str:
    return "mlops_assets." + module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def named(module: str) -> set[str]:
    """The modules of the package that this one imports, wherever and for whatever."""
    known, found = {dotted(other) for other in MODULES}, set()
    for node in ast.walk(tree(module)):
        for name in imported(node):
            deeper = {f"{name}.{a.name}" for a in node.names} & known if isinstance(node, ast.ImportFrom) else set()
            found |= deeper or ({name} & known)
    return found - {dotted(module)}


def test_imports_flow_one_way() -> None:
    found = {
        module: {name.split(".")[1] for name in anywhere(module) if name.startswith("mlops_assets.")}
        - may_import(module)
        - {room(module)}
        for module in MODULES
    }
    assert offenders(found) == {}, "these import from a room above their own"


def test_a_step_knows_earlier_steps_only() -> None:
    found = {}
    for module in (m for m in MODULES if m.startswith("steps/") and m.count("/") > 1):
        own = STEPS.index(module.split("/")[1])
        steps = {name.split(".")[2] for name in anywhere(module) if name.startswith("mlops_assets.steps.")}
        found[module] = {step for step in steps if STEPS.index(step) > own}
    assert offenders(found) == {}, "these import from a step that comes later"


def test_the_rooms_of_the_pure_half_know_what_is_written_here() -> None:
    found: dict[str, set[str]] = {}
    for module in (m for m in MODULES if m.startswith("core/") and m.count("/") > 1):
        own = module.split("/")[1]
        rooms = {name.split(".")[2] for name in anywhere(module) if name.startswith("mlops_assets.core.")}
        found[module] = rooms - CORE[own] - {own}
    assert offenders(found) == {}, "an arrow between rooms of core that is not in CORE"


def test_no_circle_of_imports() -> None:
    """File by file; imports inside functions and for types alone count too."""
    left = {dotted(module): named(module) for module in MODULES}
    while free := [name for name, knows in left.items() if not knows & left.keys()]:
        for name in free:
            del left[name]
    assert left.keys() == set(), "these modules import each other in a circle, or import one that does"


def test_no_folder_is_too_full() -> None:
    full = Counter(module.rpartition("/")[0] for module in MODULES)
    found = {folder: n for folder, n in full.items() if n > MOST_FILES and folder not in MAY_BE_FULL}
    assert found == {}, f"at most {MOST_FILES} Python files a folder: open a room"


def test_every_room_of_the_pure_half_and_every_step_has_tests() -> None:
    folders = (
        [f"core/{name}" for name in CORE]
        + [f"steps/{name}" for name in STEPS]
        + ["pages", "world", "assets", "simulate"]
    )
    tests = PACKAGE.parent / "tests"
    assert [folder for folder in folders if not list((tests / folder).rglob("test_*.py"))] == []


def test_core_knows_no_tool_and_no_file() -> None:
    found = {
        module: {name.split(".")[0] for name in anywhere(module)} & OUTSIDE - IN_CORE.get(module, set())
        for module in MODULES
        if room(module) in ("core", "pages")
    }
    assert offenders(found) == {}, "this belongs in world/ or steps/"


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
        if room(module) in ("components", "assets", "defs")
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


def test_what_benchmarks_import_is_there() -> None:
    """They run by hand, and no type checker reads them."""
    missing = []
    for file in (PACKAGE.parent / "benchmarks").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlops_assets"):
                module = importlib.import_module(str(node.module))
                names = {alias.name for alias in node.names}
                rooms = {path.stem for path in Path(str(module.__file__)).parent.iterdir()}
                missing += [f"{file.name}: {name}" for name in names - set(dir(module)) - rooms]
    assert missing == []
