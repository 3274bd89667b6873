"""The actions that call no platform."""
