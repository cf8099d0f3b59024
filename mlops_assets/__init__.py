"""The map of the house: one line a room, in the order in which to read them.

    definitions.py   the only assembly: what stands under defs/, over the resources of one home
    defs/            what exists and when: sources, models (YAML), the dbt project, Feast, the sensors
    components/      the blocks of that YAML: LandingSource, StreamSource, MonitoredModel; their assets, jobs, sensors
    core/            what is true on paper: contract, windows, drift, gate, policy, training; no file, no clock, no tool
    resources/       how the world is touched: home, lake, clock, MLflow, Feast, the record of decisions, alerts
    dbt_plugin.py    how dbt's models become Parquet, partition by partition, whole or not at all
    feast_store/     Feast's offline store (ASOF join) and online store (ttl), usable without the rest
    serving/         the online service, traffic for it, and the rehearsal of going back
    replay/          history through the same assets and sensors, and its report
    landing/         the demos' data, placed or sent as if they had just happened
    onboarding/      a person's table becomes source, dbt models and monitored model
    commands/        `mlops`, one thin module a topic; cli.py puts them together

Read `core/probe.py`, `core/policy.py` and `core/gate.py` first: they are what the rest is for. Then follow a file
through `components/landing_source.py`, `defs/dbt_models.py`, `components/training_assets.py` and
`components/retrain_sensor.py`. Imports flow one way: defs, components, resources, core.
"""
