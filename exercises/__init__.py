"""Exercises with a checker: `python -m exercises list`. Read README.md first, then the page of an exercise."""
