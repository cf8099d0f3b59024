"""Telling people: alerts, channels, incidents."""
