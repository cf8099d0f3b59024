"""Serving: who answers, from loaded versions to scores."""
