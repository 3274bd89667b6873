"""Files: uploads and results, where they are stored, and what marks them as generated."""
