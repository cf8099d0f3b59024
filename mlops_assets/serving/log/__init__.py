"""Serving: every answer on disk, and from there into the lake."""
