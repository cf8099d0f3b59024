"""`mlops stream`: reading topics into files, how far behind that is, messages that could not be read.

Here: the commands. Not here: the loop (`steps.land.stream_consumer`), the component (`assets.stream_source`).
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.commands.console import AsJson, declared, example, minute, say, say_json, say_table
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlops_assets.core.sources.stream_settings import StreamSettings

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Topics of Kafka that land as files.")
Stream = Annotated[str, typer.Argument(metavar="SOURCE", help="A stream source, as its YAML names it.")]


@app.command(epilog=example("mlops stream run card_payments"))
def run(
    source: Stream,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop when all that is there now is read.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on where the broker has deleted messages that were not read.")
    ] = False,
) -> None:
    """Read a topic into the landing folder until it is stopped; one process a source. `mlops up` starts it too.

    It may be killed at any moment: where it goes on is what its files say.
    """
    from mlops_assets.steps.land.stream_consumer import StreamReader

    home = Home.from_environment()
    if home.settings.landing is not None:
        raise ValueError(f"{home.root} reads the landing folder of another home. Read into that one. Nothing was read.")
    reader = StreamReader(home, _settings(source), accept_loss=accept_loss)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stopped.append(received))
    say(f"Reading {reader.source.stream.topic} into {home.landing / source}. Ctrl-C stops it after the current batch.")
    reader.run(until_end=until_end, stop=lambda: bool(stopped))


@app.command("list", epilog=example("mlops stream list"))
def list_(as_json: AsJson = False) -> None:
    """List the declared streams: unread messages, how old they are, and messages in quarantine."""
    from mlops_assets.steps.land.stream_lag import read_lag
    from mlops_assets.steps.land.stream_poison import poison_count

    home = Home.from_environment()
    states: list[dict[str, Any]] = []
    for name in declared("StreamSource"):
        lag, poison = read_lag(home, name), poison_count(home, name)
        states.append(
            {
                "source": name,
                "read": poison.of,
                "unread": lag.messages if lag else None,
                "lag_seconds": lag.seconds() if lag else None,
                "at": lag.at.isoformat() if lag else None,
                "quarantined": poison.messages,
                "reasons": poison.reasons,
            }
        )
    if as_json:
        say_json(states)
        return
    rows = [(f["source"], f["read"], f["unread"], f["lag_seconds"], minute(f["at"]), f["quarantined"]) for f in states]
    say_table("Streams", ["source", "read", "unread", "lag (s)", "asked at (UTC)", "in quarantine"], rows)
    for stream in states:
        for reason, count in stream["reasons"].items():
            say(f"{stream['source']}: {count:,} messages: {reason}")


@app.command(epilog=example("mlops stream retry card_payments"))
def retry(source: Stream) -> None:
    """Judge the messages in quarantine again, by the YAML as it is now; what is sound lands.

    Stop the reader first.
    """
    from mlops_assets.steps.land.stream_lag import read_lag
    from mlops_assets.steps.land.stream_landing import StreamLanding

    landing = StreamLanding(Home.from_environment(), _settings(source))
    lag = read_lag(landing.home, source)
    unread = [partition for partition, count in lag.unread.items() if count] if lag else []
    with landing.log.alone():
        count = landing.judge_again()
        landing.land(behind=unread)
        left = len(landing.poison())
    say(f"{count:,} messages were judged again: {count - left:,} have landed, {left:,} are still in quarantine.")


def _settings(name: str) -> StreamSettings:
    """The settings of a declared stream.

    Raises:
        ValueError: there is none of that name.
    """
    from mlops_assets.core.sources.stream_settings import StreamSettings
    from mlops_assets.world.landed.sources import DEFS
    from mlops_assets.world.settings_files import read_settings

    streams = read_settings(DEFS, StreamSettings)
    if name not in streams:
        raise ValueError(f"There is no stream {name!r}. Known: {', '.join(sorted(streams)) or 'none'}.")
    return streams[name]
