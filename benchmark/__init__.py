"""The harness: what to run, how to measure it, what to show.

Everything that the command ``bench`` can do, these modules can: `plan` makes a selection into trials, `engine` runs
them, `store` keeps their results, `leaderboard` and `plots` show them.
"""
