"""Serving over HTTP: paths, bodies, keys, limits."""
