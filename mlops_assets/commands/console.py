"""What all commands share: the home, known names, how text, tables, JSON and errors reach a person.

Here: helpers without a topic. Not here: a command. Imports nothing heavy.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mlops_assets.core.values.display import harmless, harmless_json
from mlops_assets.core.values.quoted_commands import in_home
from mlops_assets.world.declared_files import BrokenFile, read_files
from mlops_assets.world.home import Home, collect_seldom
from mlops_assets.world.landed.declared_models import declared_models
from mlops_assets.world.project import PROJECT, VARIABLE

DEFS = PROJECT.defs
_TEXT_WIDTH = 24
"""The narrowest column in which a text of several words is read."""
EXPECTED = (ValueError, FileNotFoundError, PermissionError)
"""Errors whose message ends in the remedy; so do all exceptions that this package defines."""

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A monitored model, as its YAML names it.")]
Reason = Annotated[str, typer.Option(help="Why: it stands on record with your name.", show_default=False)]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who says so.", show_default="who is logged in")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def example(*lines: str) -> str:
    """The epilog of a command: how it is called."""
    return "[bold]Example[/bold]\n\n" + "\n\n".join(f"$ {line}" for line in lines)


_typed_home: ContextVar[str] = ContextVar("typed_home", default="")
"""What stood behind `--home`; empty where the home came from the environment or is the default one."""


def use_project() -> None:
    """Work on the project that this process was started in, and children with it.

    Raises:
        NoProject: it was started in none.
    """
    PROJECT.require()
    os.environ[VARIABLE] = str(PROJECT.root)


def use_home(path: Path | None, *, is_typed: bool = False) -> Home:
    """Make a home the one of this process, of its children and of Dagster; without a path the default one."""
    _typed_home.set(str(path) if is_typed and path else "")
    if path is not None:
        os.environ["MLOPS_HOME"] = str(path.expanduser().resolve())
    home = Home.from_environment()
    os.environ.update(home.environment())
    # MLflow tells of each migration of a new store on standard error; a command's output is its answer.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    collect_seldom()
    return home


def known_models() -> list[str]:
    """Names of the models in YAML; no more is read, because validating settings takes pandas."""
    return sorted(model.name for model in declared_models(DEFS, Home.from_environment()))


def declared(*kinds: Literal["LandingSource", "StreamSource"]) -> list[str]:
    """Names of the sources in YAML."""
    files = [file for file in read_files(DEFS) if not isinstance(file, BrokenFile)]
    return sorted(document.name for file in files for document in file if document.kind in kinds)


def to_be_written(path: Path | None) -> Path | None:
    """An option's file or folder that can be made, looked at before the work whose result goes there.

    Raises:
        BadParameter: what it would stand in is a file, or takes none from this user.
    """
    if path is None:
        return None
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if there != path and not there.is_dir():
        raise typer.BadParameter(f"{there} is a file, so that nothing can be written in it: name another place.")
    if not os.access(there, os.W_OK):
        raise typer.BadParameter(f"{there} takes nothing from {person()}: name another place, or change who may write.")
    return path


def known_model(name: str) -> str:
    """The name of a declared model.

    Raises:
        ValueError: there is none of that name.
    """
    return _known("model", name, known_models())


def known_source(name: str) -> str:
    """The name of a declared source.

    Raises:
        ValueError: there is none of that name.
    """
    return _known("source", name, declared("LandingSource", "StreamSource"))


def _known(what: str, name: str, known: list[str]) -> str:
    if name not in known:
        from mlops_assets.world.settings_files import broken_files

        for file in broken_files(DEFS):
            if name in file.names:
                raise file.error()
        raise ValueError(f"There is no {what} {name!r}. Known: {', '.join(known)}.")
    return name


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def remedy(error: BaseException) -> str:
    """What to do about an error of the disk, which says nothing of that itself; empty for any other."""
    number = error.errno if isinstance(error, OSError) else None
    # DuckDB and SQLite tell it in their own words.
    message = str(error).lower()
    if number in _NO_ROOM or "no space left" in message or "disk is full" in message:
        return "There is no room. Free some (mlops clean says what may go), and call again: what was written is whole."
    if number == errno.ENAMETOOLONG:
        return "Shorten the name. Nothing was written under it."
    if number in (errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
        return "Correct the place, and call again."
    return ""


def in_words(error: BaseException) -> str:
    """What an error says, without the number that the system has for it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def is_expected(error: Exception) -> bool:
    """Whether an error is for a person to correct: its message says what to do."""
    return isinstance(error, EXPECTED) or type(error).__module__.startswith("mlops_assets.")


class Terminal(Console):
    """A console on which what texts hold is only read: rich writes styles, and no text of data a code of its own.

    Commands that a text quotes can be typed as they stand: they get the `--home` that this one was typed with.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich has it, without control characters."""
        typed = _typed_home.get()
        home = typed if options.get("markup") is False else escape(typed)
        return super().render_str(harmless(in_home(text, home)), **options)


def say(text: str) -> None:
    """One line for a person."""
    Terminal(soft_wrap=True).print(text)


TOOLS = ("dagster", "dbt-core", "duckdb", "feast", "mlflow", "xgboost")
"""What a report of a fault names beside the platform: libraries whose releases change what it does."""


def say_versions() -> None:
    """What is installed."""
    from mlops_assets.core.values.libraries import installed

    say(" ".join(installed("mlops-assets")))
    say(", ".join([f"Python {platform.python_version()}", *(" ".join(installed(name)) for name in TOOLS)]))


def say_error(text: str) -> None:
    """What went wrong, on standard error."""
    Terminal(stderr=True, soft_wrap=True).print(f"[bold red]Error:[/bold red] {escape(text)}")


def say_json(value: Any) -> None:
    """JSON for programs."""
    typer.echo(harmless_json(json.dumps(value, indent=2, ensure_ascii=False, default=_plain)))


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; cells are text as it is, not markup.

    A column is as wide as its cells, but a text need not be wider than `_TEXT_WIDTH`. Where that does not fit the
    screen, each row is told below its name instead: nobody reads a column of three letters.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = Terminal()
    least = [
        min(max(map(len, [heading, *(line for row in cells for line in row[number].split("\n"))])), _TEXT_WIDTH)
        for number, heading in enumerate(columns)
    ]
    if cells and sum(least) + 2 * len(columns) > console.width:
        console.print(f"[bold]{escape(title)}[/bold]")
        for name, *rest in cells:
            console.print(f"[bold]{escape(name)}[/bold]")
            say_facts(zip(columns[1:], rest, strict=True))
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for heading, width in zip(columns, least, strict=True):
        table.add_column(heading, overflow="fold", min_width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def say_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Lines of a name and what there is to say, set in and wrapped beside it; the text is as it is, not markup."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=8)
    grid.add_column(overflow="fold")
    for name, text in facts:
        grid.add_row(f"  {escape(name)}", escape(text))
    Terminal().print(grid)


def say_entry(head: str, text: str) -> None:
    """A line and what belongs to it, wrapped and set in below it; the text is as it is, not markup."""
    from rich.padding import Padding

    console = Terminal()
    console.print(head, soft_wrap=True)
    if text:
        console.print(Padding(escape(text), (0, 0, 0, 4), expand=False))


@contextmanager
def chatter_to(log: Path) -> Iterator[Console]:
    """Send standard output and error to a file, those of children too; give a console to the person."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    try:
        with log.open("ab") as sink, os.fdopen(os.dup(2), "w", encoding="utf-8") as person:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            yield Terminal(file=person)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in enumerate(before, start=1):
            os.dup2(copy, number)
            os.close(copy)


def person() -> str:
    """Who is at the keyboard."""
    return os.environ.get("USER") or getpass.getuser()


def given(reason: str) -> str:
    """The reason, which must say something.

    Raises:
        ValueError: it is empty.
    """
    if not reason.strip():
        raise ValueError("The reason is empty. Say why in a few words; it stands on record. Nothing was written.")
    return reason.strip()


def model_clock(home: Home, model: str) -> datetime:
    """The present moment for a model; with the data clock it takes the platform's modules to say."""
    if home.settings.clock == "wall":
        return datetime.now(UTC)
    from mlops_assets.world.platform import Platform

    platform = Platform.of(home)
    return platform.now(platform.models()[model])


def minute(moment: str | datetime | None) -> str:
    """A moment as people read it, in UTC: 2013-04-30 04:00."""
    if not moment:
        return ""
    return f"{datetime.fromisoformat(moment) if isinstance(moment, str) else moment:%Y-%m-%d %H:%M}"


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
