"""`mlops metrics`: the platform's metrics for Prometheus.

Here: the command. Not here: the metrics (`steps.keep.metrics`).
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from mlops_assets.commands.console import example, say
from mlops_assets.world.home import Home

_HOST = "127.0.0.1"
PORT = 9100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops metrics --port 9100", "mlops metrics --once"))(metrics)


def metrics(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where Prometheus scrapes.")] = PORT,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = _HOST,
    once: Annotated[bool, typer.Option("--once", help="Print them and end.")] = False,
) -> None:
    """Expose drift, performance, decisions, runs and costs to Prometheus; Ctrl-C stops it.

    They are read from the home at each scrape, at most every ten seconds. docs/monitoring.md lists them.
    """
    from mlops_assets.steps.keep.metrics import Collector, make_metrics_server
    from mlops_assets.world.platform import Platform

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    platform = Platform.of(Home.from_environment().prepare())
    if once:
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(Collector(platform))
        typer.echo(generate_latest(registry).decode(), nl=False)
        return
    try:
        server = make_metrics_server(platform, host=host, port=port)
    except OSError as error:
        raise ValueError(
            f"Port {port} cannot be had ({error.strerror}). Choose another: `mlops metrics --port {port + 1}`."
        ) from error
    say(f"Metrics   http://{host}:{port}/metrics")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")
