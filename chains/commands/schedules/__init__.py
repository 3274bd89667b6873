"""What people do with schedules and calendars: one command a file."""
