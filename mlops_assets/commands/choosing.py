"""Which models a command acts on: one by name, all, those of an owner, those in a folder of declarations.

Here: choosing them, asking before it is done to several, doing it to one after the other. Not here: what is done
(`control`, `hold`, `rollout`).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_assets.commands.console import DEFS, in_words, is_expected, known_model, remedy, say, say_error, say_json
from mlops_assets.core.record.plain_values import counted
from mlops_assets.world.declared_files import BrokenFile, looked_at_once, read_files
from mlops_assets.world.home import Home
from mlops_assets.world.landed.declared_models import declared_models

Owner = Annotated[
    str | None,
    typer.Option(metavar="WHO", show_default=False, help="The models that have this owner, as their YAML names it."),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        show_default=False,
        help="The models whose YAML stands in this folder of declarations, or below it.",
    ),
]
_MODEL = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", show_default=False, help="A monitored model, as its YAML names it."),
]
_EVERY = Annotated[bool, typer.Option("--all", help="All models.")]
_YES = Annotated[bool, typer.Option("--yes", help="Do not ask before it is done to several models.")]
_CHOICE = {"model": (_MODEL, None), "every": (_EVERY, False), "owner": (Owner, None), "group": (Group, None)}
_MOST_NAMED = 20
"""Of owners and folders that there are, as many are named to who has mistyped one."""


@dataclass(frozen=True)
class Chosen:
    """The models that somebody has chosen.

    Attributes:
        names: of the models, in their order.
        unread: what may belong to them and cannot be read, by what it is about, each with why.
    """

    names: list[str]
    unread: dict[str, str] = field(default_factory=dict)


def for_chosen(act: Callable[..., Any], *, of_one_model: str = "") -> Callable[..., None]:
    """The command that does for each chosen model what a function does for one.

    Args:
        act: takes the name of a declared `model`, and the command's other options; with `as_json` it returns what to
            print.
        of_one_model: an option that says something about one model alone.
    """
    of_one = inspect.signature(act, eval_str=True)

    @functools.wraps(act)
    def command(
        *, model: str | None, every: bool, owner: str | None, group: str | None, yes: bool, **options: Any
    ) -> None:
        name = act.__name__.replace("_", "-")
        ways = [model is not None, every, owner is not None, group is not None]
        if sum(ways) != 1:
            raise ValueError(
                "Choose models in one way: MODEL, `--all`, `--owner WHO` or `--group FOLDER`, for example "
                f"`mlops {name} flight_delay` or `mlops {name} --owner team:fraud`. Nothing was written."
            )
        if model is not None:
            answer = act(model=known_model(model), **options)
            if options.get("as_json"):
                say_json(answer)
            return
        if options.get(of_one_model) is not None:
            raise ValueError(
                f"`--{of_one_model}` says something of one model: name it, for example `mlops {name} flight_delay`. "
                "Nothing was written."
            )
        _do(act, name, chosen(owner=owner, group=group), options, yes=yes)

    keyword = inspect.Parameter.KEYWORD_ONLY
    choice = [inspect.Parameter(n, keyword, default=default, annotation=a) for n, (a, default) in _CHOICE.items()]
    own = [parameter.replace(kind=keyword) for n, parameter in of_one.parameters.items() if n != "model"]
    sure = inspect.Parameter("yes", keyword, default=False, annotation=_YES)
    parameters = [choice[0], *own, *choice[1:], sure]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def chosen(*, owner: str | None = None, group: str | None = None) -> Chosen:
    """The declared models: all, those of an owner, or those in a folder.

    Raises:
        ValueError: there are none; the message names what there is.
    """
    models = declared_models(DEFS, Home.from_environment())
    broken = [file for file in read_files(DEFS) if isinstance(file, BrokenFile) and file.has_model]
    if group is not None:
        known = Counter(folder for model in models for folder in _folders(model.document.path))
        wanted = group.strip("/").removeprefix("./")
        picked = Chosen(
            [model.name for model in models if wanted in _folders(model.document.path)],
            {file.subjects: file.sentence for file in broken if wanted in _folders(file.path)},
        )
        missing, there = f"No model stands in the folder {group!r} of {DEFS}", "Folders with models"
    elif owner is not None:
        from mlops_assets.world.settings_files import owners_of_models

        owners, unknown = owners_of_models(DEFS, models)
        known = Counter(each for of_model in owners.values() for each in of_model)
        unread = {**{file.subjects: file.sentence for file in broken}, **unknown}
        picked = Chosen([name for name, of_model in owners.items() if owner in of_model], unread)
        missing, there = f"No model has the owner {owner!r}", "Owners"
    else:
        known = Counter[str]()
        picked = Chosen([model.name for model in models], {file.subjects: file.sentence for file in broken})
        missing, there = f"No model is declared under {DEFS}", "Models"
    if not picked.names:
        raise ValueError(f"{missing}. {there}: {_listed(known)}. Nothing was written.")
    return Chosen(sorted({*picked.names}), picked.unread)


def _folders(file: Path) -> list[str]:
    """The folders of declarations that a file stands in, the nearest first."""
    within = file.parent.relative_to(DEFS)
    return [folder.as_posix() for folder in (within, *within.parents)]


def _listed(known: Counter[str]) -> str:
    """What there is, each with the number of its models."""
    names = sorted(known.keys() - {"."})
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(f"{name} ({counted(known[name], 'model')})" for name in names[:_MOST_NAMED]) + more or "none"


def _do(act: Callable[..., Any], command: str, models: Chosen, options: dict[str, Any], *, yes: bool) -> None:
    """Do it to one model after the other; who refuses is named, and the others are done."""
    is_json = bool(options.get("as_json"))
    if len(models.names) > 1:
        sentence = f"mlops {command} for {counted(len(models.names), 'model')}: {', '.join(models.names)}."
        if not yes:
            _ask(sentence)
        elif not is_json:
            say(sentence)
    done: dict[str, Any] = {}
    refused = dict(models.unread)
    with looked_at_once():
        for name in models.names:
            try:
                done[name] = act(model=name, **options)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and keeps nothing from other models
                refused[name] = _why(error)
    if is_json:
        say_json({"done": done, "refused": refused})
    for name, why in refused.items():
        say_error(f"{name}: {why}")
    if refused:
        raise typer.Exit(1)


def _why(error: Exception) -> str:
    """What an error says, with what to do."""
    words = in_words(error) if is_expected(error) else f"{type(error).__name__}: {in_words(error)}"
    return f"{words} {todo}" if (todo := remedy(error)) else words


def _ask(sentence: str) -> None:
    """Ask the person at the terminal.

    Raises:
        ValueError: nobody is there to be asked.
        Exit: the answer is no.
    """
    if not sys.stdin.isatty():
        raise ValueError(f"{sentence} Without a terminal nobody can be asked: add --yes to do it. Nothing was written.")
    if not typer.confirm(f"{sentence} Go on?", err=True):
        say("Nothing was written.")
        raise typer.Exit(1)
