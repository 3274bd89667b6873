"""PostgreSQL itself: connections, the schema, its clock, full disks."""
