"""What datasets share: protocols and their splits, and files that are downloaded and verified."""
