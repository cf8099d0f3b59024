"""`mlops traffic`: a small stream of requests to the online service, made of events that have landed.

Here: the command. Not here: the stream (`serving.rehearsal.traffic`).
"""

from __future__ import annotations

import os
import threading
import time
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.commands.console import example, known_model, say
from mlops_assets.commands.services import stop_signals

if TYPE_CHECKING:
    from mlops_assets.serving.rehearsal.traffic import Load
    from mlops_assets.world.platform import Platform

KEY = "MLOPS_TRAFFIC_KEY"
TOLD_SECONDS = 10.0
WAIT_SECONDS = 2.0
"""Between two looks at a service that has no model yet."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops traffic flight_delay", "mlops traffic --rate 20 --seconds 60"))(traffic)


def traffic(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A monitored model.", show_default="all that are in service")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=200.0, help="Requests a second to each model.")] = 5.0,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="How long.", show_default="until Ctrl-C", metavar="SECONDS")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Newest days whose events are sent.")] = 1,
    url: Annotated[str, typer.Option(help="Where the service is.")] = "http://127.0.0.1:8080",
) -> None:
    """Send events that have landed to the online service, over and over, at a steady rate; Ctrl-C stops it.

    Each event comes with its keys, its time and its features as known then, so what is answered stands in the lake
    beside the batch's prediction and is judged by the same label. Where the service wants an API key, MLOPS_TRAFFIC_KEY
    has it (scope predict).
    """
    from mlops_assets.serving.rehearsal.traffic import Traffic, newest_events
    from mlops_assets.world.platform import Platform

    name = known_model(model) if model else None
    platform = Platform.of()
    with stop_signals() as stop:
        streams = {
            each: Traffic(
                url,
                each,
                newest_events(platform, platform.models()[each], days=days),
                rate=rate,
                key=os.environ.get(KEY),
            )
            for each in _served(url, name, stop, seconds)
        }
        threads = [threading.Thread(target=stream.run, args=(stop, seconds)) for stream in streams.values()]
        newest = {each: _newest_day(platform, each) for each in streams}
        for thread in threads:
            thread.start()
        try:
            while _alive(threads, TOLD_SECONDS):
                for each, stream in streams.items():
                    say(_summary_of(each, stream.load))
                    if (day := _newest_day(platform, each)) != newest[each]:
                        newest[each] = day
                        stream.rows = newest_events(platform, platform.models()[each], days=days)
        finally:
            stop.set()
    for each, stream in streams.items():
        say(f"In all, {_summary_of(each, stream.load)}")


def _alive(threads: list[threading.Thread], seconds: float) -> bool:
    """Whether any still runs after some seconds."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return any(thread.is_alive() for thread in threads)


def _newest_day(platform: Platform, model: str) -> date | None:
    return max(platform.lake.partitions("labels", platform.models()[model].label.model), default=None)


def _served(url: str, wanted: str | None, stop: threading.Event, seconds: float | None) -> list[str]:
    """The models to send to, once the service has any of them; waits for it, as long as traffic may last.

    Raises:
        ValueError: it refuses, or none is in service after that time.
    """
    import urllib.error
    import urllib.request

    from pydantic_core import from_json

    announced, ends = False, None if seconds is None else time.monotonic() + seconds
    request = urllib.request.Request(f"{url}/models", headers=_headers())
    while not stop.is_set():
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                names = [entry["name"] for entry in from_json(answer.read())]
        except urllib.error.HTTPError as error:
            raise ValueError(
                f"{url} refuses (HTTP {error.code}). Set {KEY} to a key with the scope predict."
            ) from error
        except OSError:
            names = []
        if served := [name for name in names if wanted in (None, name)]:
            return served
        if ends is not None and time.monotonic() > ends:
            what = f"{wanted} is not" if wanted else "No model is"
            raise ValueError(f"{what} in service at {url} yet. Start it (mlops serve), or name another: --url.")
        if not announced:
            say(f"Waiting until {wanted or 'a model'} is in service at {url} …")
            announced = True
        stop.wait(WAIT_SECONDS)
    return []


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def _summary_of(name: str, load: Load) -> str:
    arms = ", ".join(f"{arm} v{version} {count:,}" for (arm, version), count in sorted(load.arms.items()))
    failures = "".join(f"; {why}: {count:,}" for why, count in sorted(load.failures.items()))
    slowest = f", 99 % within {load.p99_ms:.0f} ms" if load.p99_ms is not None else ""
    return f"{name}: {load.sent:,} requests, {load.failed:,} failed{failures}{slowest}; answered by {arms or 'nobody'}"
