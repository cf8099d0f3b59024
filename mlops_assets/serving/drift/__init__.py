"""Drift as a service: references that anybody may register, what was held against them, and what follows."""
