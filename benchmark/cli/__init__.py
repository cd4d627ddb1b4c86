"""The command ``bench``: one file a group of verbs, and what the terminal shows. No logic."""
