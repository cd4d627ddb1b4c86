"""What results say: summary and significance, the leaderboard page, figures, and comparisons."""
