"""The online service: predictions and drift over HTTP.

Here: what answers a request and what keeps it honest: arms and their change (`arms`, `models.alias_watch`), which of
them answers (`routing`), one request from row to answer (`scoring`, `engine.batching`, `completing`, `shadow`), the log
of answers (`records`, `spool`, `drain`, `log.into_lake`, `mover`), what runs beside (`rounds`), counts for Prometheus
and for rollouts (`engine.prometheus_counts`, `engine.request_counts`), keys and limits (`keys`, `limits`), HTTP, the
way of most requests (`http.short_way`, `forms`, `one_write`) and all of it (`app`, `predict_api`, `oip_api`,
`drift_api`, `admin_api`), what is held against references and what follows from it (`drift`), rehearsals (`drill`,
`traffic`). Not here: training, promotion, monitors; this room knows only `core`, `world` and `steps`.
"""
