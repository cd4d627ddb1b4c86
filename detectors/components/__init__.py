"""What the methods share; no file in here is a detector."""
