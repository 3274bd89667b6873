"""Files: uploads and results, their storage, and the mark that a picture was generated."""
