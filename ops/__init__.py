"""Everything that runs Playalter: the command line, the laptop profile, the vendors' sandbox."""
