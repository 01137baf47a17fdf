"""What a run was called since it started: its name, attributes, memo and details."""

import msgspec
from msgspec.structs import replace

from everact.runtime.core.records import (
    NO_EXTRAS,
    Attribute,
    Notice,
    RenameRun,
    SetDetails,
    StartOptions,
    UpsertMemo,
)


class Labels(msgspec.Struct, frozen=True, gc=False):
    """What has changed of it since the start; None is as the start's options say."""

    name: str | None = None
    attributes: dict[str, Attribute] | None = None
    memo: dict[str, bytes] | None = None
    details: str = ""

    def changed(self, notice: Notice, options: StartOptions) -> "Labels":
        """The labels after `notice`, of a run that was started with `options`."""
        if isinstance(notice, RenameRun):
            return replace(self, name=notice.name)
        if isinstance(notice, SetDetails):
            return replace(self, details=notice.text)
        now = self.on(options)
        if isinstance(notice, UpsertMemo):
            memo = {**now.memo, **notice.memo}
            return replace(self, memo={k: v for k, v in memo.items() if v is not None})
        found = {**(now.extras or NO_EXTRAS).attributes, **notice.attributes}
        return replace(
            self, attributes={k: v for k, v in found.items() if v is not None}
        )

    def on(self, options: StartOptions) -> StartOptions:
        """The options of the run, with the name, memo and attributes of now."""
        if self.name is not None:
            options = replace(options, run_name=self.name)
        if self.memo is not None:
            options = replace(options, memo=self.memo)
        if self.attributes is not None:
            extras = replace(options.extras or NO_EXTRAS, attributes=self.attributes)
            options = replace(options, extras=extras)
        return options


AS_STARTED = Labels()
