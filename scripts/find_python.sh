#!/bin/sh
# Print the command of a Python that can build and run this project.
#
# usage: find_python.sh          the first fitting one, or exit 1 with what was tried
#        find_python.sh --each   one fitting interpreter for each version on the machine
#
# A name on PATH proves nothing: a version manager's shim may exist and fail, and a
# distribution may split venv or ensurepip into packages of their own. So each
# candidate is run. Candidates: $PYTHON, then python3.13 to python3.11 and python3 in
# every folder of PATH (not only the first: the one behind a broken shim may be good).
# With --each, also the versions that the common version managers keep off PATH.

set -u

# Prints "ok VERSION", or the reason why this interpreter does not fit.
probe='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("is Python %d.%d, not 3.11 to 3.13" % sys.version_info[:2])
if sys.implementation.name != "cpython":
    sys.exit("is %s, not CPython" % sys.implementation.name)
for name in ("venv", "ensurepip", "sqlite3"):
    try:
        __import__(name)
    except ImportError:
        sys.exit("has no module %s" % name)
import sqlite3
if sqlite3.sqlite_version_info < (3, 35):
    sys.exit("has SQLite %s, older than 3.35" % sqlite3.sqlite_version)
print("ok %d.%d" % sys.version_info[:2])
'

tried=''
found=''

# try_candidate COMMAND: sets $version and returns 0 if it fits; else notes why not.
try_candidate() {
    # -E -s: what PYTHONPATH or the user's own packages offer is not the interpreter's.
    answer=$("$1" -E -s -c "$probe" 2>&1 </dev/null) && case $answer in
        "ok "*)
            version=${answer#ok }
            return 0
            ;;
    esac
    reason=$(printf '%s\n' "$answer" | sed '/^[[:space:]]*$/d' | tail -n 1 | cut -c 1-120)
    tried="$tried  $1: ${reason:-could not be run}
"
    return 1
}

# offer COMMAND: with --each prints the first of each version, else prints and ends.
offer() {
    try_candidate "$1" || return 0
    if [ "$each" = no ]; then
        printf '%s\n' "$1"
        exit 0
    fi
    case " $found " in
        *" $version "*) ;;
        *)
            found="$found $version"
            printf '%s\n' "$1"
            ;;
    esac
}

# on_path NAME: offers NAME in each folder of PATH.
on_path() {
    rest=$PATH:
    while [ -n "$rest" ]; do
        folder=${rest%%:*}
        rest=${rest#*:}
        candidate=${folder:-.}/$1
        if [ -f "$candidate" ] && [ -x "$candidate" ]; then
            offer "$candidate"
        fi
    done
}

case $# in
    0) each=no ;;
    *)
        if [ "$*" != --each ]; then
            echo "usage: find_python.sh [--each]" >&2
            exit 2
        fi
        each=yes
        ;;
esac

if [ -n "${PYTHON:-}" ]; then
    if command -v "$PYTHON" >/dev/null 2>&1; then
        offer "$(command -v "$PYTHON")"
    else
        tried="  $PYTHON: not found
"
    fi
    # Somebody asked for this one: do not take another without a word.
    if [ -n "$tried" ]; then
        printf 'everact: $PYTHON does not fit, looking further:\n%s' "$tried" >&2
    fi
fi
for name in python3.13 python3.12 python3.11 python3; do
    on_path "$name"
done
if [ "$each" = yes ]; then
    for version_wanted in 3.13 3.12 3.11; do
        for candidate in \
            "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/"$version_wanted".*/bin/python"$version_wanted" \
            "${HOME:-/nonexistent}"/.local/share/uv/python/cpython-"$version_wanted".*/bin/python"$version_wanted" \
            "${HOME:-/nonexistent}"/.asdf/installs/python/"$version_wanted".*/bin/python"$version_wanted" \
            "${HOME:-/nonexistent}"/.local/share/mise/installs/python/"$version_wanted".*/bin/python"$version_wanted" \
            /opt/homebrew/bin/python"$version_wanted" \
            /usr/local/bin/python"$version_wanted"; do
            if [ -x "$candidate" ]; then
                offer "$candidate"
            fi
        done
    done
    if [ -n "$found" ]; then
        exit 0
    fi
fi

{
    echo 'everact: no fitting Python was found. It needs CPython 3.11, 3.12 or 3.13 with'
    echo 'the modules venv, ensurepip and sqlite3 (SQLite 3.35 or later). Tried:'
    printf '%s' "${tried:-  nothing: no candidate on PATH
}"
    echo 'Install one, for example'
    echo '  Debian, Ubuntu:  apt install python3 python3-venv'
    echo '  Fedora:          dnf install python3.13'
    echo '  macOS:           brew install python@3.13'
    echo 'or name one:       make PYTHON=/path/to/python3.13 …'
} >&2
exit 1
