"""What a caller may ask for: by the scope of its token, and by its workspaces."""

from typing import Any

from everact.runtime.core.statuses import RPCStatus
from everact.runtime.door.tokens import Token
from everact.runtime.errors import RPCError
from everact.runtime.operations.access import EVERY_WORKSPACE, Access, workspaces_of


def check_access(caller: Token, access: Access) -> None:
    """RPCError PERMISSION_DENIED unless the caller's scope allows that."""
    if access not in caller.scope.allows:
        raise RPCError(
            f"a token of scope {caller.scope.value!r} does not allow this",
            RPCStatus.PERMISSION_DENIED,
        )


def check_workspaces(caller: Token, message: Any, access: Access) -> None:
    """RPCError unless the caller's token reaches whatever `message` addresses.

    Another workspace is NOT_FOUND, whether it exists or not. What belongs to no
    workspace is for tokens of every workspace, unless it is INFO.
    """
    if EVERY_WORKSPACE in caller.workspaces:
        return
    named = workspaces_of(message)
    for workspace in sorted(named):
        if not caller.reaches(workspace):
            raise RPCError(f"no workspace {workspace!r} is known", RPCStatus.NOT_FOUND)
    if not named and access is not Access.INFO:
        raise RPCError(
            "this reaches beyond the workspace of the token: it needs one for every "
            "workspace",
            RPCStatus.PERMISSION_DENIED,
        )
