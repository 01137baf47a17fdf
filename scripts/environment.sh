#!/bin/sh
# Print the Python of an environment that holds LEVEL, building it if there is none.
# usage: environment.sh LEVEL      (see environment.py)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
python=$("$here/find_python.sh")
exec "$python" -E -s "$here/environment.py" "$here/.." "$@"
