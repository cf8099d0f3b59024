"""Predicting: which version scores which day, the scores, and what is kept of the training rows."""
