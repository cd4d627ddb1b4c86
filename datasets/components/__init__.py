"""What datasets share: the one-vs-rest split, and files that are downloaded and verified."""
