"""What every file of the package keeps to."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import yaml

PACKAGE = Path(__file__).parents[2] / "mlops_assets"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
KNOW_THE_DATA = ("defs/", "landing/")

# Columns of the flights' tables whose names are ordinary words of this code or of English: a day is a day.
# The rest of the columns is unmistakable.
ORDINARY = {"year", "month", "day", "hour", "minute", "name", "type", "model", "flight", "engine", "engines"}
ORDINARY |= {
    "speed",
    "seats",
    "distance",
    "origin",
    "lat",
    "lon",
    "alt",
    "tz",
    "dst",
    "temp",
    "pressure",
    "carrier",
    # ... and of the card payments.
    "channel",
    "confidence",
}
# Of these, the ones that no part of the platform has a reason to write as a text of its own.
NEVER_A_TEXT = {"flight", "engines", "seats", "distance", "origin", "carrier", "temp", "pressure", "dst"}

LONGEST = 60
"""Lines of a function."""
MOST_NAMESAKES = 2
# A logger is its module's own; a topic of the command line registers itself; a family of models is found by its name.
NOT_CHOSEN = {"logger", "app", "router", "register", "FAMILY"}


@cache
def columns() -> frozenset[str]:
    """All columns of the declared sources."""
    found: set[str] = set()
    for path in (PACKAGE / "defs").rglob("defs.yaml"):
        attributes = yaml.safe_load(path.read_text(encoding="utf-8"))["attributes"]
        found |= set(attributes.get("contract", {}).get("columns", ()))
    return frozenset(found)


def source(module: str) -> str:
    return (PACKAGE / module).read_text(encoding="utf-8")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(source(module))


def texts(module: str) -> set[str]:
    """The texts that stand in a module's code."""
    return {n.value for n in ast.walk(tree(module)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_the_sources_have_unmistakable_columns() -> None:
    assert columns() - ORDINARY >= {
        "dep_delay",
        "arr_delay",
        "tailnum",
        "dest",
        "air_time",
        "wind_gust",
        "faa",
        "transaction_amount",
        "customer_id",
        "terminal_id",
        "is_fraud",
    }
    assert columns() >= ORDINARY


def test_nothing_in_code_knows_about_flights_or_payments() -> None:
    unmistakable = columns() - ORDINARY
    found = {
        module: named
        for module in MODULES
        if not module.startswith(KNOW_THE_DATA)
        and (named := (set(re.findall(r"[A-Za-z_]\w*", source(module))) & unmistakable) | texts(module) & NEVER_A_TEXT)
    }
    assert found == {}, "these name columns of the demos' data: say it in YAML or SQL"


def test_every_module_opens_with_what_lives_here() -> None:
    found = [module for module in MODULES if len(ast.get_docstring(tree(module)) or "") < 20]
    assert found == [], "open these with a docstring that says what lives there and what doesn't"


def test_nothing_prints() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert found == [], "log it, or tell it through commands/console.py"


def test_no_function_is_longer_than_a_screen() -> None:
    """Signature and docstring apart; a function inside another counts for itself."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)

    def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        body = node.body[1:] if ast.get_docstring(node) else node.body
        if not body:
            return 0
        inside = [one for one in ast.walk(node) if one is not node and isinstance(one, functions)]
        nested = {number for one in inside for number in range(one.lineno, (one.end_lineno or 0) + 1)}
        return len(set(range(body[0].lineno, (body[-1].end_lineno or 0) + 1)) - nested)

    found = {
        f"{module}:{node.name}": lines(node)
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, functions) and lines(node) > LONGEST
    }
    assert found == {}, "give what belongs together a function of its own"


def public_names(module: str) -> set[str]:
    """What a module defines for others."""
    found: set[str] = set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in found if not name.startswith("_")} - NOT_CHOSEN


def test_names_say_what_they_hold() -> None:
    """What is told, found, or one of many has a name of its own."""
    empty = {"told", "found", "one", "_told", "_found", "_one"}
    named = [
        f"{module}: {name}"
        for module in MODULES
        for node in ast.walk(tree(module))
        for name in _bound_names(node)
        if name in empty
    ]
    assert named == []


def _bound_names(node: ast.AST) -> list[str]:
    """The name that a node gives to something."""
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Store) else []
    if isinstance(node, ast.arg):
        return [node.arg]
    return [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []


def test_no_public_name_stands_in_more_than_two_modules() -> None:
    """Else a name says nothing; one that nobody else reads is private (`_SEED`)."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        names = public_names(module)
        for name in names if not module.startswith("commands/") else {n for n in names if not n.islower()}:
            homes[name].append(module)
    assert {name: of for name, of in homes.items() if len(of) > MOST_NAMESAKES} == {}


def test_the_files_of_a_home_are_read_by_one_reader() -> None:
    # `state_files.read_state` says file, fault and remedy; the manifest is dbt's own.
    direct = [m for m in MODULES if re.search(r"json\.loads\(.*\.read_(text|bytes)\(", source(m))]
    assert [m for m in direct if m not in ("world/catalogue.py", "world/dbt_runs.py")] == []


def test_no_private_part_of_dagster() -> None:
    """Those move without notice; types alone (`if TYPE_CHECKING:`) cannot break at run time."""
    types_only = re.compile(r"(?m)^if TYPE_CHECKING:\n(?:(?:[ \t]+.*)?\n)+")
    private = re.compile(r"(?:from|import) dagster\._\S*")
    found = {m: hits for m in MODULES if (hits := private.findall(types_only.sub("", source(m))))}
    assert found == {}


def test_no_path_of_one_machine() -> None:
    machine = re.compile(r"(?<![\w.])/(?:home|root|Users|work|tmp)/\w+")
    assert {m: hits for m in MODULES if (hits := machine.findall(source(m)))} == {}


def test_every_alert_has_its_section_in_the_runbook() -> None:
    given = {text for module in MODULES for text in re.findall(r'runbook"?(?:=|: )(".*)', source(module))}
    named = {name for text in given for name in re.findall(r'"([a-z-]+)"', text)}
    sections = re.findall(r"(?m)^## (\S+)$", (PACKAGE.parent / "docs" / "runbook.md").read_text(encoding="utf-8"))
    assert named >= {"stale-source", "failed-run"}
    assert named - set(sections) == set(), "docs/runbook.md lacks these sections"


def _sentences(tree: ast.AST) -> list[str]:
    """All texts but docstrings; what an f-string fills in is `§`."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docs = {ast.get_docstring(n, clean=False) for n in nodes}
    parts = {part for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    joined = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "§" for part in n.values)
        for n in ast.walk(tree)
        if isinstance(n, ast.JoinedStr)
    ]
    plain = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in parts]
    return [*joined, *(text for text in plain if isinstance(text, str) and text not in docs)]


def test_what_is_to_be_typed_is_set_apart_from_the_end_of_its_sentence() -> None:
    """`--missing x=n.a.` is copied with the full stop behind it, unless it stands in backticks."""
    bare = re.compile(r"--[a-z]+(?:-[a-z]+)* (?:§|[A-Z]+\b|'[^']*')\S*[.,;:](?:\s|$)")
    found = {
        m: hits
        for m in MODULES
        if (
            hits := [
                hit for text in _sentences(ast.parse(source(m))) for hit in bare.findall(re.sub("`[^`]*`", "", text))
            ]
        )
    }
    assert found == {}
