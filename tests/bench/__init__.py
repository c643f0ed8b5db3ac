"""Measuring Bellhop beside others on the same work; programs to run by hand, never tests."""
