"""The command `everact`."""
