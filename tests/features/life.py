"""The process of a `Life`: plays one scene on virtual time.

usage: python -m tests.features.life MODULE SCENE FOLDER AT
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

from everact.actors import VirtualLoop
from tests.features.support import Scene, Stage


async def main(module: str, scene: str, folder: str, at: str) -> None:
    play: Scene = getattr(importlib.import_module(module), scene)
    await play(Stage(Path(folder), float(at)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main(*sys.argv[1:]))
