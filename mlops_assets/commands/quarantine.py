"""`mlops quarantine`: what was not let into the lake and why, and letting it in.

Here: the commands. Not here: what makes a partition bad (`core.sources.contract`), the record
(`world.landed.partitions`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.commands.console import (
    AsJson,
    Reason,
    declared,
    example,
    known_source,
    minute,
    person,
    say,
    say_json,
    say_table,
)
from mlops_assets.world.files.state_files import DamagedFile
from mlops_assets.world.home import Home
from mlops_assets.world.landed.links import Unclaimed, links_in, not_followed
from mlops_assets.world.landed.partitions import TakenRecord

_NAMED = 5
"""For so many it is said what to do about each."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Partitions that broke their contract: the lake keeps the old rows, nothing runs on the new.",
)


@app.command("list", epilog=example("mlops quarantine list"))
def list_(as_json: AsJson = False) -> None:
    """List what is in quarantine, with the reason and where to look at the marked rows; and links, left where they are.

    Nothing is taken in from a link in a landing folder: in --json its `partition` is null, and its `folder` that one.
    """
    home = Home.from_environment()
    partitions, damaged, links = [], [], []
    for source in declared("LandingSource", "StreamSource"):
        if names := links_in(home.landing / source):
            links.append((source, home.landing / source, not_followed(names)))
        record = TakenRecord(home, source)
        try:
            quarantined = record.quarantined()
        except DamagedFile as error:
            damaged.append(str(error))
            continue
        partitions += [
            {
                "source": source,
                "partition": partition,
                "since": entry.at,
                "rows": entry.rows,
                "reason": entry.reason,
                "do": entry.remedy(source, partition),
                "folder": str(record.quarantine(partition)),
            }
            for partition, entry in quarantined.items()
        ]
    if as_json:
        say_json([*partitions, *map(_link, links)])
    elif not partitions and not damaged:
        say("Nothing is in quarantine.")
    elif partitions:
        rows = [(f["source"], f["partition"], minute(str(f["since"])), f["rows"], f["reason"]) for f in partitions]
        say_table("In quarantine", ["source", "partition", "since (UTC)", "rows", "reason"], rows)
        say(f"The rows, the bad ones marked with is_bad, are under {home.lake / 'quarantine'}.")
        for f in partitions[:_NAMED]:
            say(f"{f['source']}/{f['partition']}: {f['do']}")
    for source, folder, unclaimed in [] if as_json else links:
        say(escape(f"{source}: {unclaimed.problem} ({folder}). {unclaimed.remedy}"))
    if damaged:
        raise ValueError(" ".join(damaged))


def _link(link: tuple[str, Path, Unclaimed]) -> dict[str, object]:
    source, folder, unclaimed = link
    nothing = dict.fromkeys(("partition", "since", "rows"))
    return {
        "source": source,
        **nothing,
        "reason": f"{unclaimed.problem}.",
        "do": unclaimed.remedy,
        "folder": str(folder),
    }


@app.command(epilog=example("mlops quarantine release weather 2013-07-04 --reason 'the new station is right'"))
def release(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A landing source, as its YAML names it.")],
    partition: Annotated[
        str, typer.Argument(metavar="PARTITION", help="Its first day, an hour such as 2013-07-04T13, or `whole`.")
    ],
    reason: Reason,
) -> None:
    """Let a partition in as it is, against its contract; the next landing run takes it.

    A file that cannot be read, without a required column or rows, or with a key of another partition cannot be let
    in: it is tried again. Better, where it is possible: land a
    corrected file, which replaces the partition by itself.
    """
    if not reason.strip():
        raise ValueError("The reason is empty. Say why in a few words; it stands on record. Nothing was written.")
    record = TakenRecord(Home.from_environment(), known_source(source))
    if record.release(partition, f"{reason.strip()} ({person()})").can_be_let_in:
        say(f"{source}/{partition} is released: the landing sensor takes it in at its next tick.")
    else:
        say(
            f"{source}/{partition} is tried again by the landing sensor at its next tick. It cannot be let in as it "
            "is, so it comes back while its cause lasts (mlops quarantine list)."
        )
