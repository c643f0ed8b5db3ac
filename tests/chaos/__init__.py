"""Chaos: thousands of messages through a real installation that is killed, frozen, emptied and lied to.

``./run chaos`` (``python -m tests.chaos``) draws a plan from a seed, carries it out, and judges by the log of the
provider: each message was accepted once, and none before its time.
"""
