"""Appointments and bookings: one table, its plan of reminders, and the public booking form."""
