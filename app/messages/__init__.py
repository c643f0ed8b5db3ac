"""Messages: the row that is the truth, from accepting to the delivery report."""
