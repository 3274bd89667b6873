"""The files of the imitated OpenAI, and the multipart bodies that bring files."""
