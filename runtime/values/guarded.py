"""Guard around converters of applications: what goes wrong is an error of the value."""

from typing import Any

from everact.runtime.errors import ValueNotStorable
from everact.runtime.isolation import class_name, contained, is_a
from everact.runtime.values.payloads import Converter, not_readable

_HERE = __name__.rpartition(".")[0]


def guarded(values: Converter) -> Converter:
    """`values`, if it is one of this package; else what raises only what it may."""
    return values if type(values).__module__.startswith(_HERE) else _Guarded(values)


class _Guarded:
    """A converter of an application's own: it raises what converters may raise."""

    def __init__(self, values: Converter) -> None:
        self._values = values

    def encode(self, value: Any, what: str = "the value", /) -> bytes:
        try:
            return checked(self._values.encode(value, what), "converter")
        except BaseException as error:
            if is_a(error, ValueNotStorable):
                raise
            why = self._failed(contained(error))
            raise ValueNotStorable(f"{what} cannot be stored: {why}") from error

    def decode(self, payload: bytes, /, *kind: Any) -> Any:
        try:
            return self._values.decode(payload, *kind)
        except BaseException as error:
            raise not_readable(contained(error), self._failed(error)) from None

    def _failed(self, error: BaseException) -> str:
        return f"{class_name(self._values)} failed with {class_name(error)}"


def checked(made: object, what: str = "codec") -> bytes:
    """What a converter or codec made; TypeError if that is not bytes."""
    if not isinstance(made, bytes):
        raise TypeError(f"a {what} gives bytes, not {type(made).__name__}")
    return made
