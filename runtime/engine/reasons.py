"""How the reasons begin for which a run is held, where the beginning says something."""

WAITING = "waiting: "
"""For want of a worker or of its code: nobody has to do anything about the run."""

STALLED = "its code does not come to a wait when it is replayed"
"""Its replay did not come to an end in its time: its history may fit all the same."""
