"""Signals for what must flow up the ranks: a lower package announces, a higher one listens.

Each is sent after the commit that made it true, with the ids only; receivers load what they need.
"""

from blinker import Namespace

_signals = Namespace()

delivery_reported = _signals.signal("delivery-reported")
"""``message_id``, ``status``: a provider's report moved a message on."""

opted_out = _signals.signal("opted-out")
"""``workspace_id``, ``channel``, ``address``: this person must not be written to."""
