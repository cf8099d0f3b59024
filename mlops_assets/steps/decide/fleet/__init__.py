"""Deciding for many models of one location, by what stands on record of each: the queue, and false discoveries."""
