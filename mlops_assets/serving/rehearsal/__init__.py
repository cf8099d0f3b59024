"""Serving: traffic, and rehearsing the way back."""
