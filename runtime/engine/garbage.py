"""The garbage collector while an engine runs: called less often, and on less.

A run is a few dozen objects that live until it ends; the default thresholds make the
collector look at all of them again and again (measured: a tenth to a quarter of the
time of a step). What exists when the first engine opens is frozen, and the youngest
generation may grow larger. Both are undone when the last engine closes. Later engines
freeze nothing: each time would put off the next look at old objects, for ever in a
program that opens one engine after the other, as tests do.
"""

import gc
import threading

THRESHOLDS = (50_000, 20, 50)

_lock = threading.Lock()
_engines = 0
_frozen = False
_before: tuple[int, int, int] | None = None


def ease() -> None:
    """An engine opens. A threshold that the program raised itself is left alone."""
    global _engines, _before, _frozen
    with _lock:
        _engines += 1
        if _engines == 1 and 0 < gc.get_threshold()[0] < THRESHOLDS[0]:
            _before = gc.get_threshold()
            if not _frozen:
                _frozen = True
                gc.freeze()
            gc.set_threshold(*THRESHOLDS)


def restore() -> None:
    """An engine closed."""
    global _engines, _before
    with _lock:
        _engines -= 1
        if _engines == 0 and _before is not None:
            if gc.get_threshold() == THRESHOLDS:
                gc.set_threshold(*_before)
            gc.unfreeze()
            _before = None
