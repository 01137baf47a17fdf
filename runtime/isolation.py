"""Isolation: what author code raises, returns or hides in a value harms nobody else.

Author code is not only workflows, handlers and tasks. It is converters, interceptors
and whatever a value or an exception of the author's runs when it is looked at:
``__str__``, ``__reduce__``, ``__class__``, a property. All of it may raise anything,
`SystemExit` too, and that is the outcome of this one call:

    try:
        made = call_author_code()
    except BaseException as error:
        ... what `contained(error)` means here ...

`contained` lets pass only what no code raised by itself: an interrupt of the process,
by Ctrl-C or a signal handler that raises. (What the watchdog throws in it knows of
itself.) Classes are told by `type`, never by `isinstance`, which asks the object.
"""

import logging
import opcode
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from types import CodeType, CoroutineType, FrameType, TracebackType
from typing import Any, Final, TypeVar

T = TypeVar("T")
U = TypeVar("U")

LONGEST_TEXT: Final = 64 * 1024
"""Characters of a message of author code that are kept."""

_FURTHEST = 100
"""Exceptions of one chain that are looked at."""

_CAUSE: Any = BaseException.__dict__["__cause__"]
_CONTEXT: Any = BaseException.__dict__["__context__"]
_SUPPRESSED: Any = BaseException.__dict__["__suppress_context__"]
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]
_RAISE_STATEMENT: Final = opcode.opmap["RAISE_VARARGS"]
_QUALNAME: Any = type.__dict__["__qualname__"]


class Exited(Exception):
    """What author code raised, in the dress of an `Exception`.

    asyncio ends its loop for a `SystemExit` or `KeyboardInterrupt` of any of its tasks;
    this can be raised out of one. `error` is what was raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{class_name(error)}: {text_of(error)}")
        self.error = error


# -- the guard -----------------------------------------------------------------------


def contained(error: BaseException) -> BaseException:
    """`error`, which author code raised; an interrupt of the process goes on."""
    if is_interrupt(error):
        raise error
    return error


def read(look: Callable[[], T], otherwise: U) -> T | U:
    """What `look` finds out about something of the author's; `otherwise` if it raises.

    Only for what is not worth a failure of its own, as the text of an error is.
    """
    try:
        return look()
    except BaseException as error:
        contained(error)
        return otherwise


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` is a signal's: the process is to stop, whoever was running.

    A `KeyboardInterrupt` or `SystemExit` that code raises by itself is none. A signal's
    has the frame of its handler in its traceback, or in that of what it came of. Python
    runs handlers on the main thread alone.
    """
    if issubclass(type(error), Exception):
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = tuple(map(signal.getsignal, _STOPPING))
    codes = {_interrupt.__code__, *filter(None, map(_code_of, handlers))}
    unmarked = handlers[0] is signal.default_int_handler
    for one in _chain(error):
        trace = last = _TRACEBACK.__get__(one)
        while trace is not None:
            if trace.tb_frame.f_code in codes:
                return True
            last, trace = trace, trace.tb_next
        if unmarked and issubclass(type(one), KeyboardInterrupt) and not _raised(last):
            return True  # Python's own handler leaves no frame: see `mark_interrupts`
    return False


# -- looking at values and exceptions ------------------------------------------------


def is_a(value: object, kinds: type | tuple[type, ...]) -> bool:
    """As `isinstance`, but without asking the value: ``__class__`` may lie, or exit."""
    return issubclass(type(value), kinds)


def untraced(error: BaseException) -> None:
    """Forget where `error` was raised."""
    _TRACEBACK.__set__(error, None)


def for_future(error: BaseException) -> BaseException:
    """`error` as a future can have it: a `StopIteration` would end who awaits it."""
    if not is_a(error, StopIteration):
        return error
    made = RuntimeError(f"StopIteration was raised: {text_of(error)}")
    chain_to(made, error)
    return made


def is_coroutine(value: object) -> bool:
    """Whether `value` is a coroutine, for what handlers return."""
    kind = type(value)
    return kind is CoroutineType or read(lambda: issubclass(kind, Coroutine), False)


def class_name(value: object) -> str:
    """The qualified name of the class of `value`, without the module."""
    return name_of(type(value))


def name_of(kind: type) -> str:
    """The qualified name of a class, without the module."""
    name: str = _QUALNAME.__get__(kind)
    return _storable(name)


def text_of(value: object) -> str:
    """``str(value)``, as much of it as is kept; a replacement if that raises."""
    return _made(str, value, f"<{class_name(value)} whose text cannot be made>")


def shown(value: object) -> str:
    """``repr(value)`` for messages; a replacement if that raises."""
    return _made(repr, value, f"<{class_name(value)} that cannot be shown>")


def chain_to(error: BaseException, cause: BaseException) -> None:
    """Let `error` come of `cause`, as ``raise … from`` does."""
    _CAUSE.__set__(error, cause)


def cause_in(error: BaseException) -> BaseException | None:
    """What `error` came of, as a traceback would tell it."""
    cause: BaseException | None = _CAUSE.__get__(error)
    if cause is None and not _SUPPRESSED.__get__(error):
        cause = _CONTEXT.__get__(error)
    return cause


def log(
    logger: logging.Logger, level: int, error: BaseException | None, text: str, *of: Any
) -> None:
    """Log `text` with the traceback of an error of author code, if it has a text."""
    try:
        logger.log(level, text, *of, exc_info=error)
    except BaseException as raised:  # out of ``__str__``, or out of ``__notes__``
        contained(raised)
        logger.log(level, "%s: %s", text % of, error and class_name(error))


# -- interrupts ----------------------------------------------------------------------

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_marking = 0


def mark_interrupts() -> Callable[[], None]:
    """Let Ctrl-C be told from code that raises `KeyboardInterrupt`; undo by the answer.

    Python's own handler leaves no trace in what it raises; one that does the same in
    Python takes its place. A handler of the program's, or of its loop, stays.
    """
    global _marking
    if threading.current_thread() is not threading.main_thread() or not (
        _marking or signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):
        return lambda: None
    _marking += 1
    signal.signal(signal.SIGINT, _interrupt)
    return _unmark


def _unmark() -> None:
    global _marking
    _marking -= 1
    if (
        not _marking
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is _interrupt
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _code_of(handler: Any) -> CodeType | None:
    """The code of a signal handler that is written in Python."""
    while issubclass(type(handler), partial):
        handler = handler.func
    found = getattr(handler, "__code__", None)  # of a function, or of a method
    if found is None and callable(handler):
        found = getattr(type(handler).__call__, "__code__", None)
    return found if type(found) is CodeType else None


def _raised(place: TracebackType | None) -> bool:
    """Whether a ``raise`` statement is at a place where something came from."""
    return (
        place is not None
        and place.tb_frame.f_code.co_code[place.tb_lasti] == _RAISE_STATEMENT
    )


def _chain(error: BaseException) -> list[BaseException]:
    """`error` and what it came of; chains may be circles."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < _FURTHEST:
        one = waiting.pop()
        if any(one is other for other in found):
            continue
        found.append(one)
        for link in (_CAUSE, _CONTEXT):
            further = link.__get__(one)
            if further is not None:
                waiting.append(further)
    return found


def _made(make: Callable[[object], str], value: object, otherwise: str) -> str:
    text = read(lambda: _storable(str.__str__(make(value))), otherwise)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _storable(text: str) -> str:
    """Text as UTF-8 can hold it: file names may come with lone surrogates."""
    return text.encode(errors="backslashreplace").decode()
