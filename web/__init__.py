"""What facefleet shows over HTTP. Reads the ledger; imports neither torch nor the queue's tasks."""
