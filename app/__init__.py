"""Bellhop: the right text to the right person at the right moment."""
