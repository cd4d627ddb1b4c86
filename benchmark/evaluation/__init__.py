"""What one trial measures, apart from where it runs and where its result is kept."""
