"""Deciding for many models of one location: how sure a gain is among many, who is trained first, within what budget."""
