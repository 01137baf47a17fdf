"""The parts: one for each capability that stands beside the journal of runs."""
