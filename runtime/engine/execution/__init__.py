"""Attempts of tasks: what they are admitted by, where they run, and their ends."""
