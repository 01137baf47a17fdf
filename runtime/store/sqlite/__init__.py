"""Runs in one SQLite file, or in memory: `store.SqliteStore`."""
