"""`mlops land`: rows placed in the landing folder, the demo's or a person's own.

Here: the command. Not here: cutting tables into files (`landing`, `onboarding.landing`), taking them in (the landing
sensor).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from mlops_assets.commands.console import example, known_source, say
from mlops_assets.world.home import Home, HomeSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    own = "mlops land churn --files 'exports/*.csv'"
    app.command(epilog=example("mlops land flights --through 2013-03-31", own))(land)


def land(
    data: Annotated[str, typer.Argument(metavar="DATA", help="flights, the demo's; or a source, with --files.")],
    through: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="Last day of the flights.", show_default=False),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First day.", show_default="the data's first"),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="FILES", help="Rows of the source: CSV or Parquet, a folder, a glob.", show_default=False),
    ] = None,
) -> None:
    """Place files in the landing folder: the demo's flights of 2013, or a table of your own cut into partitions.

    Landing the same rows twice changes nothing, and a part of a day joins what had landed of it. The landing sensor
    carries new files from there.
    """
    if files is not None:
        _land_own(known_source(data), files)
        return
    if data != "flights":
        raise ValueError(f"There is no data set {data!r} to land. Known: flights; or give --files for a source.")
    if through is None:
        raise ValueError("Until which day? Give --through, such as mlops land flights --through 2013-03-31.")
    from mlops_assets.landing import nycflights13

    home = Home.from_environment()
    if not home.settings_file.exists():
        home.configure(HomeSettings(clock="data"))
        say(f"The flights are of 2013, so this home's clock is set to that of its data ({home.settings_file}).")
    landing = home.landing
    summary = nycflights13.land(landing, through.date(), start.date() if start else None)
    new = dict.fromkeys(summary.rows, 0)
    for path in summary.written:
        new[path.parent.name] += 1
    for source, rows in summary.rows.items():
        say(f"{source}: {rows:,} rows, {new[source]} new or changed files in {landing / source}")
    if summary.unchanged:
        say(f"{summary.unchanged} files were there already and were not touched.")


def _land_own(name: str, files: str) -> None:
    """Cut a person's table into the files of a source."""
    from rich.markup import escape

    from mlops_assets.core.record.plain_values import counted
    from mlops_assets.core.sources.changed_hours import told_of
    from mlops_assets.core.values.sql import quoted
    from mlops_assets.onboarding.landing import land as cut
    from mlops_assets.onboarding.odd.look_alikes import columns_in_folders
    from mlops_assets.onboarding.odd.repeated_rows import corrected_rows
    from mlops_assets.onboarding.reading.instructions import Reading
    from mlops_assets.onboarding.reading.table import read_table
    from mlops_assets.onboarding.times import time_column
    from mlops_assets.world.platform import Platform

    home = Home.from_environment()
    source = Platform.of(home).sources.settings()[name]
    if source.event_time is None:
        raise ValueError(f"{name} has no partitions: copy the file to {home.landing / name}, named {source.files}.")
    missing, columns = tuple(source.null_values), source.contract.columns
    in_one = {column: tuple(map(str, rule.null_values)) for column, rule in columns.items() if rule.null_values}
    reading = Reading(source.timezone, missing, declared=columns, in_parquet=source.says_missing, missing_in=in_one)
    table = read_table(files, reading=reading)
    time = time_column(table, source.event_time, source.timezone)
    again = corrected_rows(table.cells, table.repeats, time.name, time.sql, zone=source.timezone, grain=source.grain)
    for sentence in (
        *table.left_out,
        *table.repeats.notes,
        *table.repeats.warnings,
        *columns_in_folders(table),
        *again,
    ):
        say(escape(sentence))
    for name_of, facts in table.facts.items():
        if facts.dtype == "TIMESTAMP":
            moments = (
                table.connection.sql(f"select {quoted(name_of)} from {table.relation}").to_arrow_table().to_pandas()
            )
            for sentence in told_of(name_of, moments[name_of], source.timezone):
                say(escape(sentence))
    landed = cut(table, time, source, home.landing, adds=True)
    say(f"{name}: {landed.rows:,} rows, {len(landed.written)} new or changed files in {landed.folder}")
    if landed.written:
        length = "hour" if source.is_hourly else source.grain
        span = f"from {landed.written[0]} to {landed.written[-1]}"
        say(f"Each holds its {length} whole, {span}. The contract judges them when they are taken in.")
    for part, gone in landed.left_out.items():
        say(f"{part}: left out {counted(gone, 'row')} that had landed before and did not come again.")
    for part, (before, more) in landed.added.items():
        say(f"{part}: {more:,} of these rows were added to {counted(before, 'row')} that had landed before.")
