"""Ways out of the house: one small file per provider behind one interface."""
