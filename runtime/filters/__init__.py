"""The filter language: text to a small tree, and that tree against plain values."""
