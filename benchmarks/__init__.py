"""Every work of the performance targets, on everact, its ceiling and its peers."""
