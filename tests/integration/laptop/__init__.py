"""The laptop profile: its servers, its data folder, its supervisor."""
