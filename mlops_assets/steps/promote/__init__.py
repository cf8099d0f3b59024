"""Promoting: training, the gate on real rows, cards, reproduction, and what became of it."""
