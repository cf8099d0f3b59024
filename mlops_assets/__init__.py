"""The map of the house: one line a room, in the order in which to read them.

    definitions.py   the only assembly: what a project declares, over the resources of one home
    defs/            what exists: sources and models (YAML)
    components.py    the names of that YAML: LandingSource, StreamSource, MonitoredModel, MonitoredFleet
    assets/          what Dagster alone needs: those components, their assets, jobs, sensors
    steps/           what the platform does, in the order of the data: land, features, predict, watch, rollout,
                     decide, promote, keep
    world/           how the world is touched: home, lake, clock, landed/, mlflow/, record/, runs/, alerts/
    pages/           what people look at: plots, tables, pages
    core/            what is true on paper, a folder a domain; no file, no clock, no tool
    dbt/             macros, tests and the materialization that every dbt project reads
    dbt_plugin.py    how dbt's models become Parquet, partition by partition, whole or not at all
    feast_store/     Feast's offline store (ASOF join) and online store (ttl), usable without the rest
    serving/         the online service: http/, engine/, drift/, log/, and rehearsal/ of going back
    simulate/        history through the same assets and sensors: replay, backtest, demos
    landing/         the demos' data, placed or sent as if they had just happened
    onboarding/      a person's table becomes source, dbt models and monitored model
    resources/       one old name that stands in the files of registered models
    commands/        `mlops`, one thin module a topic; cli.py puts them together

Read `core/decide/probe.py`, `core/decide/policy.py` and `core/promote/gate.py` first: they are what the rest is for.
Then follow a file through `assets/landing_source.py`, `assets/platform/dbt_models.py`, `assets/training_assets.py` and
`assets/retrain_sensor.py`. Imports flow one way: defs, assets, steps, world, pages, core.
"""
