"""Model artifacts: what is in one, how it is written, stored, loaded, run and swapped."""
