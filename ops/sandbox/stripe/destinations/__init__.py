"""Where events are read and sent: the log, webhook endpoints and event destinations."""
