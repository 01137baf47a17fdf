"""Which builds of author code are compatible, by queue: pure rules.

A queue's build IDs are in ordered sets. Builds of one set can go on with each other's
runs; the last of a set is its default, which is given their further steps. New runs go
to the default of the last set. A queue without sets does not look at build IDs.

Every operation is atomic: it is done, was done before, or is refused and changes
nothing.
"""

from typing import Annotated, TypeAlias, assert_never

import msgspec
from msgspec import Meta

BuildId: TypeAlias = Annotated[str, Meta(min_length=1)]


class VersionSets(msgspec.Struct, frozen=True):
    """The sets of one queue, the default one last; in each the default ID last."""

    sets: tuple[tuple[str, ...], ...] = ()

    @property
    def default_set(self) -> tuple[str, ...]:
        """The set of new runs; empty if there are no sets."""
        return self.sets[-1] if self.sets else ()

    @property
    def default_id(self) -> str | None:
        """The build ID of new runs; None if there are no sets."""
        return self.sets[-1][-1] if self.sets else None

    def set_of(self, build_id: str) -> tuple[str, ...] | None:
        """The set that holds `build_id`."""
        return next((found for found in self.sets if build_id in found), None)

    def __bool__(self) -> bool:
        return bool(self.sets)


class Operation(msgspec.Struct, frozen=True, tag=True):
    """Base of what may be done to the sets of a queue. ValueError for an empty ID."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value == "":
                raise ValueError(f"{name} must not be empty")
            if isinstance(value, str):
                value.encode()  # what cannot be stored is refused here


class AddNewDefault(Operation, frozen=True):
    """A new set of one ID, for new runs; runs that are there stay where they are."""

    build_id: BuildId


class AddCompatible(Operation, frozen=True):
    """A new ID in the set of `existing`, as its default; `promote` promotes the set."""

    build_id: BuildId
    existing: BuildId
    promote: bool = False


class PromoteSet(Operation, frozen=True):
    """The set of `build_id` is for new runs from now on."""

    build_id: BuildId


class PromoteBuildId(Operation, frozen=True):
    """`build_id` is the default of its set from now on."""

    build_id: BuildId


class MergeSets(Operation, frozen=True):
    """Two sets become one, in the place of the later; its default is `primary`'s."""

    primary: BuildId
    secondary: BuildId


BuildIdOp: TypeAlias = (
    AddNewDefault | AddCompatible | PromoteSet | PromoteBuildId | MergeSets
)


class Refused(Exception):
    """The operation does not fit the sets; `unknown` if an ID is in none of them."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


def updated(versions: VersionSets, operation: BuildIdOp) -> VersionSets:
    """The sets after `operation`; equal ones if it was done before. Refused."""
    sets = list(versions.sets)
    match operation:
        case AddNewDefault(build_id):
            if not _is_there(versions, build_id, -1):
                sets.append((build_id,))
        case AddCompatible(build_id, existing, promote):
            place = _place(versions, existing)
            if not _is_there(versions, build_id, place, last=promote):
                grown = (*sets.pop(place), build_id)
                sets.insert(len(sets) if promote else place, grown)
        case PromoteSet(build_id):
            sets.append(sets.pop(_place(versions, build_id)))
        case PromoteBuildId(build_id):
            place = _place(versions, build_id)
            rest = tuple(one for one in sets[place] if one != build_id)
            sets[place] = (*rest, build_id)
        case MergeSets(primary, secondary):
            first, second = (_place(versions, one) for one in (primary, secondary))
            if first != second:
                merged = (*sets[second], *sets[first])
                sets[max(first, second)] = merged
                del sets[min(first, second)]
        case _:
            assert_never(operation)
    return VersionSets(tuple(sets))


def _place(versions: VersionSets, build_id: str) -> int:
    for place, found in enumerate(versions.sets):
        if build_id in found:
            return place
    raise Refused(f"build ID {build_id!r} is in no set of the queue", unknown=True)


def _is_there(
    versions: VersionSets, build_id: str, place: int, *, last: bool = False
) -> bool:
    """Whether a new ID is already where it is to go; Refused if it is elsewhere."""
    if versions.set_of(build_id) is None:
        return False
    wanted = versions.sets[place]
    if wanted[-1] == build_id and not (last and wanted != versions.default_set):
        return True
    raise Refused(f"build ID {build_id!r} is in use in another position")
