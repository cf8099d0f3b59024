"""The online service: predictions and drift over HTTP.

Here: what answers a request and what keeps it honest: arms and their change (`arms`, `watch`), which of them
answers (`routing`), one request from row to answer (`scoring`, `together`, `completing`, `shadow`), the log of answers
(`records`, `spool`, `drain`, `moving`, `mover`), what runs beside (`rounds`), counts for Prometheus and for rollouts
(`seen`, `tally`), keys and limits (`keys`, `limits`), HTTP, the way of most requests (`hot_path`, `forms`,
`one_write`) and all of it (`app`, `predict_api`, `oip_api`, `drift_api`, `admin_api`), rehearsals (`drill`,
`traffic`). Not here: training, promotion, monitors; this room knows only `core` and `resources`.
"""
