"""Signals for what must flow up the ranks: a lower package announces, a higher one listens.

Each is sent after the commit that made it true, with the ids only; receivers load what they need.
"""

from blinker import Namespace

_signals = Namespace()

delivery_reported = _signals.signal("delivery-reported")
"""``message_id``, ``status``: a provider's report moved a message on."""

opted_out = _signals.signal("opted-out")
"""``workspace_id``, ``channel``, ``address``: this person must not be written to."""

cap_warned = _signals.signal("cap-warned")
cap_reached = _signals.signal("cap-reached")
"""``workspace_id``, ``period``, ``percent``: 80 % of a cap is used; the first message was kept back. Once a period."""

inbound_received = _signals.signal("inbound-received")
"""``inbound_id``, ``intent``: somebody wrote to us, and it is stored."""

appointment_confirmed = _signals.signal("appointment-confirmed")
appointment_cancelled = _signals.signal("appointment-cancelled")
"""``workspace_id``, ``appointment_id`` (the row's), ``actor``: the person, by a reply, or somebody else."""
