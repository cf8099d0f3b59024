"""A Feast plug-in: an ASOF offline store on DuckDB and an online store that holds the ttl.

What lives here: `offline` (the OfflineStore that `feature_store.yaml` names), `online` (a subclass of Feast's
SQLite store), `materialize` (the fast way from Parquet to the online store), `reader` (the fast way out of it),
`sources` (which files a `FileSource` means, and the DuckDB session that reads them), `sql` (the text of every
statement, with its proof), `entity_rows` (a join's left side), `plans` and `gather` (running the statements),
`retrieval` (Feast's job) and `parquet` (files that appear whole). It is usable on its own: nothing here knows
Dagster, dbt or the lake.

What doesn't: feature definitions (feature_repo/), and the decision when to materialize (defs/).

    offline_store: {type: mlops_assets.feast_store.offline.AsofOfflineStore}
    online_store: {type: mlops_assets.feast_store.online.TtlSqliteOnlineStore, path: online.db}

Nothing is imported here: importing Feast costs 5-8 s, and Feast itself loads the modules by name.
"""
