"""Draw docs/architecture.svg from the code's own imports, and list every module.

usage: python scripts/draw_architecture.py [--check]

A box for each component, from top to bottom in the order of the layers contract in
setup.cfg: its purpose (the first sentence of its docstring) and its modules. To the
right each component has a lane of its own: the lane leaves the component that imports
and has an arrow into each one that it imports. So all arrows point down, and a change
of a component can reach only what has an arrow from above.

docs/modules.md lists all modules by room, each with the first sentence of its
docstring: what a reader looks for there.

Same code, same picture and list, byte for byte; --check compares and writes nothing.
"""

import argparse
import ast
import configparser
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
LIST = ROOT / "docs" / "modules.md"
FOLDERS = {"everact.actors": ROOT / "actors", "everact.runtime": ROOT / "runtime"}

WIDTH, LEFT, TOP = 640, 16, 56
TEXT, LINE, GAP, LANE = 96, 15, 14, 22
COLOURS = ("#1b6ca8", "#b5532a", "#3c7d3e", "#8a3f8f", "#8c7a1f", "#2a7f7f", "#a23a4e")


@dataclass(slots=True)
class Component:
    """A part of the system that the layers contract names."""

    name: str
    purpose: str
    modules: list[str]
    imports: set[str] = field(default_factory=set)
    top: int = 0
    height: int = 0
    ports: list[str] = field(default_factory=list)

    def port(self, name: str) -> int:
        """The height at its right edge of the lane of component `name`."""
        place = self.ports.index(name) + 1
        return self.top + place * self.height // (len(self.ports) + 1)


def main() -> int:
    """Write the picture, or say whether the one that is there is true."""
    parser = argparse.ArgumentParser(description="Draw docs/architecture.svg.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    components = read_components()
    stale = 0
    for file, made in ((PICTURE, draw(components)), (LIST, listed(components))):
        if not options.check:
            file.parent.mkdir(exist_ok=True)
            file.write_text(made, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != made:
            place = file.relative_to(ROOT).as_posix()
            print(f"{place} is out of date; run scripts/draw_architecture.py")
            stale = 1
    return stale


HEAD = """\
# Modules

Every module by room, from the top layer down, with what a reader looks for there: the
first sentence of its docstring. Made by `scripts/draw_architecture.py`; which files a
change begins with is in [To change X, open Y](architecture.md#to-change-x-open-y)."""


def listed(components: list[Component]) -> str:
    """The list of all modules, top layer first."""
    parts = [HEAD]
    for component in components:
        files = list(sources_of(component.name))
        if files[0].name == "__init__.py":
            inside = [file for file in files if file.name != "__init__.py"]
            parts.append(section(files[0].parent, component.purpose, inside))
    inside = sorted((ROOT / "runtime").glob("[a-z]*.py"))
    purpose = "What users import, and what all rooms share"
    return "\n\n".join([*parts, section(ROOT / "runtime", purpose, inside)]) + "\n"


def section(folder: Path, purpose: str, files: list[Path]) -> str:
    """A room, and a line for each of its modules."""
    rows = "\n".join(
        f"| `{file.relative_to(folder).as_posix()}` | {purpose_of(file)} |"
        for file in files
    )
    place = folder.relative_to(ROOT).as_posix()
    return f"## `{place}/`\n\n{purpose}.\n\n| module | |\n|---|---|\n{rows}"


def read_components() -> list[Component]:
    """The components that exist, top layer first, with what they import."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    layers = config["importlinter:contract:layers"]["layers"]
    names = [
        name.strip(" ()")
        for line in layers.splitlines()
        for name in re.split(r"[|:]", line.partition("#")[0])
        if name.strip()
    ]
    sources = {name: found for name in names if (found := list(sources_of(name)))}
    components = []
    for name, files in sources.items():
        component = Component(name, purpose_of(files[0]), modules_of(files))
        for file in files:
            for target in imported_by(file):
                owner = owner_of(target, sources)
                if owner not in (None, name):
                    component.imports.add(str(owner))
        components.append(component)
    return components


def sources_of(name: str) -> Iterator[Path]:
    """The files of a component; the one with its docstring comes first."""
    half = ".".join(name.split(".")[:2])
    place = FOLDERS[half].joinpath(*name.split(".")[2:])
    if place.is_dir():
        yield from sorted(place.rglob("*.py"), key=lambda p: (p.parts, p.name))
    elif place.with_suffix(".py").exists():
        yield place.with_suffix(".py")


def modules_of(files: list[Path]) -> list[str]:
    """What a reader looks for: module names, without the `__init__` files."""
    folder = files[0].parent
    inside = [f.relative_to(folder).with_suffix("") for f in files]
    if files[0].name != "__init__.py":
        return []
    return [i.as_posix() for i in inside if i.name != "__init__"]


def purpose_of(file: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    first = text.partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.)\s", first)[0].rstrip(".")


def imported_by(file: Path) -> Iterator[str]:
    """Dotted names that a module imports when it runs, not only for its types."""
    pending: list[ast.AST] = [ast.parse(file.read_bytes())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            pending.extend(ast.iter_child_nodes(node))


def owner_of(target: str, names: dict[str, list[Path]]) -> str | None:
    """The component that holds an imported name: the longest that fits."""
    fitting = [n for n in names if target == n or target.startswith(f"{n}.")]
    return max(fitting, key=len, default=None)


def draw(components: list[Component]) -> str:
    """The whole picture."""
    top = TOP
    for component in components:
        component.top = top
        lines = 2 + len(wrap(component.modules))
        component.height = lines * LINE + 14
        top += component.height + GAP
        # From above come the lanes of the higher ones; the last is its own.
        above = [c.name for c in components if component.name in c.imports]
        component.ports = [*above, component.name]
    # The lane of the top component is the outermost: lanes cross arrows, never lanes.
    lanes = {c.name: i for i, c in enumerate(reversed(components))}
    right = WIDTH + (len(components) + 1) * LANE + LEFT
    parts = [
        f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {top}"
 width="{right}" height="{top}" font-family="Helvetica, Arial, sans-serif">
<rect width="{right}" height="{top}" fill="#ffffff"/>
<text x="{LEFT}" y="24" font-size="16" font-weight="bold">\
everact: imports go down only</text>
<text x="{LEFT}" y="42" font-size="11" fill="#555555">\
A lane leaves the component that imports; its arrows enter what it imports.</text>"""
    ]
    by_name = {c.name: c for c in components}
    for index, component in enumerate(components):
        colour = COLOURS[index % len(COLOURS)]
        parts.extend(box(component, colour))
        x = WIDTH + (lanes[component.name] + 1) * LANE
        targets = [by_name[name] for name in sorted(component.imports)]
        parts.extend(lane(component, targets, x, colour))
    return "\n".join([*parts, "</svg>", ""])


def wrap(modules: list[str]) -> list[str]:
    """Module names in lines of at most TEXT characters."""
    lines: list[str] = []
    for name in modules:
        if lines and len(lines[-1]) + 2 + len(name) <= TEXT:
            lines[-1] += f", {name}"
        else:
            lines.append(name)
    return lines


def box(component: Component, colour: str) -> Iterator[str]:
    """A component: name, purpose, modules."""
    width = WIDTH - LEFT
    yield (
        f'<rect x="{LEFT}" y="{component.top}" width="{width}" '
        f'height="{component.height}" rx="6" fill="#f6f7f9" stroke="{colour}"/>'
    )
    y = component.top + LINE + 3
    yield (
        f'<text x="{LEFT + 10}" y="{y}" font-size="13" font-weight="bold" '
        f'fill="{colour}">{escape(component.name)}</text>'
    )
    y += LINE
    yield (
        f'<text x="{LEFT + 10}" y="{y}" font-size="11">'
        f"{escape(component.purpose)}</text>"
    )
    for line in wrap(component.modules):
        y += LINE
        yield (
            f'<text x="{LEFT + 10}" y="{y}" font-size="11" fill="#666666">'
            f"{escape(line)}</text>"
        )


def lane(
    source: Component, targets: list[Component], x: int, colour: str
) -> Iterator[str]:
    """From the right edge of the source down its lane, into each target."""
    if not targets:
        return
    start = source.port(source.name)
    lowest = max(target.port(source.name) for target in targets)
    yield (
        f'<path d="M {WIDTH} {start} H {x} V {lowest}" fill="none" '
        f'stroke="{colour}" stroke-width="1.5"/>'
    )
    for target in sorted(targets, key=lambda t: t.top):
        y = target.port(source.name)
        yield (
            f'<path d="M {x} {y} H {WIDTH + 7}" fill="none" stroke="{colour}" '
            f'stroke-width="1.5"/>'
        )
        yield (
            f'<path d="M {WIDTH} {y} l 8 -3 v 6 z" fill="{colour}">'
            f"<title>{escape(source.name)} imports {escape(target.name)}</title></path>"
        )


if __name__ == "__main__":
    sys.exit(main())
