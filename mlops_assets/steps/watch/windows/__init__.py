"""The windows that a model is watched in: which there are, what each is compared with, and the summary kept of each."""
