"""The engine: runs as supervising actors, and what they share."""
