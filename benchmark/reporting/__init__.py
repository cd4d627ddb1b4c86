"""What results say: summary, the leaderboard page, figures, and comparisons."""
