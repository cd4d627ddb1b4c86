"""What was measured: typed results, the folders they lie in, and which code they are of."""
