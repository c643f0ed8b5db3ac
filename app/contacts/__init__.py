"""People: who may be written to and who must not."""
