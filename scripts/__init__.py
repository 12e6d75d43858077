"""The `facefleet` command line: one command a file."""
