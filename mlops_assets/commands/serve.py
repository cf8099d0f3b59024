"""`mlops serve`: the online service of a home; `mlops api-key`: a key for it.

Here: the commands. Not here: the service (`serving`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from mlops_assets.commands.console import example, say, use_home

_HOST = "127.0.0.1"
PORT = 8080


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=example("mlops serve", "mlops serve --host 0.0.0.0 --port 8080"))(serve)
    app.command(epilog=example("mlops api-key shop --scope predict", "mlops api-key ci --scope retrain"))(api_key)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's need API keys.")] = _HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = PORT,
    rows: Annotated[int, typer.Option(min=1, help="Rows that a prediction request may have.")] = 1_000,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second of one key.")] = 5_000.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="For a request to arrive and be answered.")] = 30.0,
    flush: Annotated[float, typer.Option(min=0.1, help="Seconds between moves of the log into the lake.")] = 10.0,
    models_memory: Annotated[
        str, typer.Option(help="Memory for loaded models; those asked for longest ago leave it first.", metavar="SIZE")
    ] = "1GiB",
) -> None:
    """Answer predictions and drift over HTTP with the champions of this home; Ctrl-C stops it.

    API keys come from MLOPS_API_KEYS or the file MLOPS_API_KEYS_FILE. docs/serving.md says what it answers.
    """
    from mlops_assets.serving.app import build, check_keys, run
    from mlops_assets.serving.http.keys import Keys
    from mlops_assets.serving.http.limits import Limits
    from mlops_assets.world.platform import Platform

    home = use_home(None)
    keys = Keys.read()
    warning = check_keys(keys, host)
    home.prepare()
    app = build(
        Platform.of(home),
        keys=keys,
        limits=Limits(rows=rows, rate=rate, seconds=seconds),
        flush_seconds=flush,
        models_memory=_bytes_of(models_memory),
    )
    say(f"Serving {home.root} on http://{host}:{port} (GET /readyz says how it is). Ctrl-C stops it.")
    if warning:
        say(f"[bold yellow]Warning:[/bold yellow] {warning}")
    run(app, host=host, port=port)


def _bytes_of(size: str) -> int:
    """A size with its unit in bytes."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        known = int(TypeAdapter(ByteSize).validate_python(size))
    except ValidationError:
        known = 0
    if known < 1:
        raise ValueError(f"--models-memory {size} is no size: write a number with its unit, such as 1GiB or 500MB.")
    return known


def api_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; logs say this name.")],
    scope: Annotated[
        list[str],
        typer.Option(help="What it opens: predict, drift, retrain or admin; several as predict+drift, or repeated."),
    ],
) -> None:
    """Make an API key: the key for the caller, and the line with its hash for the service. Nothing is kept."""
    from mlops_assets.serving.http.keys import new_key

    key, line = new_key(name, "+".join(scope).split("+"))
    say(f"Give to {name}:  {key}")
    say(f"Add to MLOPS_API_KEYS_FILE:  {line}")
