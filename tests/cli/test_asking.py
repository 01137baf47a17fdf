"""How commands ask an engine: through one helper, so that mistakes are told alike."""

import ast
from pathlib import Path

CLI = Path(__file__).parents[2] / "runtime" / "cli"

BY_THEMSELVES = {
    "asking.py": "the helper",
    "runs.py": "`start` waits for the result with what it has asked",
    "doctor.py": "it tells what went wrong as a finding",
}


def test_no_command_asks_an_engine_by_itself() -> None:
    found = {
        file.name
        for file in CLI.glob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("engine.call")
    }
    assert found == set(BY_THEMSELVES)
