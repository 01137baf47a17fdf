"""Write the pages of docs/reference from the docstrings of the public names.

usage: write_reference.py [--check]
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

from everact.runtime.client.derived import Blocking
from everact.runtime.public import MODULES

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
SCRIPT = Path(__file__).name
WIDTH = 88


def main(arguments: list[str]) -> int:
    """Write what is not as it should be; with ``--check`` only name it."""
    pages = {name_of(module): page(module) for module in MODULES}
    pages["README.md"] = contents()
    stale = [
        name
        for name, text in pages.items()
        if not (PAGES / name).exists() or (PAGES / name).read_text("utf-8") != text
    ]
    stale += [p.name for p in PAGES.glob("*.md") if p.name not in pages]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is out of date; run scripts/{SCRIPT}")
        return 1 if stale else 0
    PAGES.mkdir(exist_ok=True)
    for name in stale:
        if name in pages:
            (PAGES / name).write_text(pages[name], encoding="utf-8")
        else:
            (PAGES / name).unlink()
    return 0


def name_of(module: str) -> str:
    """The file of a module's page."""
    return module.removeprefix("everact.") + ".md"


def contents() -> str:
    """The page that leads to the others."""
    lines = ["# Reference", "", "| module | what is in it |", "|---|---|"]
    for module in MODULES:
        summary = (importlib.import_module(module).__doc__ or "").partition("\n\n")[0]
        lines.append(
            f"| [`{module}`]({name_of(module)}) | {' '.join(summary.split())} |"
        )
    return "\n".join([*lines, ""])


def page(module: str) -> str:
    """The page of a module: each public name with its signature and docstring."""
    found = importlib.import_module(module)
    parts = [f"# `{module}`", inspect.cleandoc(found.__doc__ or "")]
    for name in sorted(found.__all__, key=str.lower):
        parts += entry(name, getattr(found, name), "##")
    return "\n\n".join(part for part in parts if part) + "\n"


def entry(name: str, thing: Any, level: str) -> list[str]:
    """Title, signature and docstring of one name, and of a class those of its verbs."""
    own = getattr(thing, "__doc__", None) if described(thing) else ""
    parts = [f"{level} `{name}`", signature(name, thing), inspect.cleandoc(own or "")]
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for attribute, member in public_members(thing):
            parts += entry(f"{name}.{attribute}", member, level + "#")
    return parts


def described(thing: Any) -> bool:
    """Whether its docstring is its own, and not that of its class."""
    if (
        inspect.isclass(thing)
        or inspect.isroutine(thing)
        or isinstance(thing, property)
    ):
        return True
    return getattr(thing, "__doc__", None) != type(thing).__doc__


def public_members(kind: type) -> list[tuple[str, Any]]:
    """The methods and properties that a class of ours defines, in their order."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("everact."):
            continue
        for name, member in vars(base).items():
            verb = inspect.isroutine(
                inspect.unwrap(getattr(member, "__func__", member))
            )
            if not name.startswith("_") and (verb or isinstance(member, property)):
                found[name] = getattr(kind, name) if verb else member
    return [(name, member) for name, member in found.items() if member.__doc__]


def signature(name: str, thing: Any) -> str:
    """What stands in the source between the parentheses of a call, as a block."""
    target = thing.fget if isinstance(thing, property) else thing
    short = name.rpartition(".")[2]
    if isinstance(thing, property):
        returned = of_source(target)[1]
        made = target.__annotations__.get("return")
        if inspect.isclass(made) and issubclass(made, Blocking):
            returned = made.__name__  # the source is that of the asynchronous form
        return block(f"{short}: {returned}") if returned else ""
    if inspect.isclass(thing):
        if issubclass(thing, BaseException) or thing.__init__ is object.__init__:
            return ""
        arguments, _ = of_source(inspect.unwrap(thing.__init__))
        arguments = arguments or fields(thing)
        return block(f"{short}({arguments})") if arguments else ""
    if not inspect.isroutine(target):
        return ""
    function = inspect.unwrap(target)
    arguments, returned = of_source(function)
    arrow = f" -> {returned}" if returned else ""
    waits = "await " if inspect.iscoroutinefunction(target) else ""
    return block(f"{waits}{short}({arguments}){arrow}")


def fields(kind: type) -> str:
    """What a class that only holds something is made of, its parents' first."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("everact."):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, SyntaxError):
            continue
        for node in tree.body[0].body:  # type: ignore[attr-defined]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = ast.unparse(node)
                if not text.startswith("_") and "ClassVar" not in text:
                    found[node.target.id] = text
    return ", ".join(found.values())


def of_source(function: Any) -> tuple[str, str]:
    """The parameters and the type of the answer, as they are written."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError):
        return "", ""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return "", ""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        del arguments.args[0]
    returned = "" if node.returns is None else ast.unparse(node.returns)
    return ast.unparse(arguments), returned.strip("'\"")


def block(text: str) -> str:
    """Python in a block, one parameter a line if it is long."""
    if len(text) > WIDTH:
        head, _, rest = text.partition("(")
        inner, _, tail = rest.rpartition(")")
        lines = ",\n".join(f"    {part}" for part in split(inner))
        text = f"{head}(\n{lines},\n){tail}"
    return f"```text\n{text}\n```"


def split(arguments: str) -> list[str]:
    """Parameters, at the commas that are within nothing."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
