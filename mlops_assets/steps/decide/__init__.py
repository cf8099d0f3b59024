"""Deciding: evidence, the probe on real rows, holds, proposals, and explaining a decision."""
