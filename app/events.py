"""Signals for what must flow up the ranks: a lower package announces, a higher one listens.

Each is sent after the commit that made it true, with the ids only; receivers load what they need.
"""

from blinker import Namespace

_signals = Namespace()

delivery_reported = _signals.signal("delivery-reported")
"""``message_id``, ``status``: a provider's report moved a message on."""

opted_out = _signals.signal("opted-out")
"""``workspace_id``, ``channel``, ``address``: this person must not be written to."""

plan_inputs_changing = _signals.signal("plan-inputs-changing")
"""``session``, ``workspace_id``: what the plans of a workspace follow from (reminder settings, zone, senders) is being
changed. Sent inside the transaction of the change, unlike the others: whoever has to act on it must not lose it.
"""

contact_changing = _signals.signal("contact-changing")
"""``session``, ``workspace_id``, ``contact_id``, ``phone``, ``email``: the same for one person; number and address are
those of before the change, which is flushed already.
"""
