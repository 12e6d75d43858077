"""Photos: where they come from, how their bytes are read, and how bytes become RGB pixels."""
