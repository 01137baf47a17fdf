#!/bin/sh
# Run the tests of what must behave alike on every Python (the pure core, the simulator
# and the testing kit) on the interpreters of this machine other than the default one.
# usage: test_other_pythons.sh [PYTEST_OPTION ...]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here/.."

# What is there of them; never nothing, which would mean everything.
portable=tests/core
if ls tests/simulation/test_*.py >/dev/null 2>&1; then
    portable="$portable tests/simulation"
fi
if ls tests/testing/test_*.py >/dev/null 2>&1; then
    portable="$portable tests/testing"
fi

# The first line is the interpreter that the full suite ran on.
"$here/find_python.sh" --each | sed 1d | {
    count=0
    while IFS= read -r interpreter; do
        python=$("$interpreter" -E -s "$here/environment.py" . test --unlinked </dev/null)
        echo "== core, simulator and testing kit on $("$python" --version)"
        "$python" -m pytest -q -p no:cacheprovider "$@" $portable </dev/null
        count=$((count + 1))
    done
    if [ "$count" -eq 0 ]; then
        echo "== no other Python from 3.11 to 3.13 on this machine"
    fi
}
