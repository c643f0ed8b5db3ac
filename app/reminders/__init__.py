"""Which reminders an appointment has and when (policy, planner), and the ledger of what was sent (tracker)."""
