"""Prefixes of hold reasons that mean something: waiting for code, stalled in replay."""

WAITING = "waiting: "
"""For want of a worker or of its code: nobody has to do anything about the run."""

STALLED = "its code does not come to a wait when it is replayed"
"""Its replay did not come to an end in its time: its history may fit all the same."""
