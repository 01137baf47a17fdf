"""One open run: its actor, its turns, what is recorded and released of it."""
