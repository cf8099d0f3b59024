"""The online service: predictions and drift over HTTP.

Here: what answers a request and what keeps it honest: arms and their change (`arms`, `watch`), which of them
answers (`routing`), one request from row to answer (`scoring`), the log of answers (`spool`, `drain`), keys and limits
(`keys`, `limits`), the HTTP surface (`app`, `predict_api`, `oip_api`, `drift_api`, `admin_api`). Not here: training,
promotion, monitors; this room knows only `core` and `resources`.
"""
