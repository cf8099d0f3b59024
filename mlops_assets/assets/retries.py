"""How often a step is tried again whose outside systems may be away for a moment."""

import dagster as dg

OUTSIDE_RETRY = dg.RetryPolicy(max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For assets that touch the outside: a failing disk is tried again; a broken contract is no exception."""
