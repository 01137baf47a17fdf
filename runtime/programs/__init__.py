"""Programs: how author code of each kind is driven by a run."""
