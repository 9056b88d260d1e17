#!/usr/bin/env bash
# venv.sh DIR [PYTHON]   A virtual environment with Tidewheel (editable) and the `dev` group of pyproject.toml.
# Does nothing when DIR was made from the same pyproject.toml before (a stamp in it holds the hash).
set -eu
cd "$(dirname "$0")/.."
dir=$1
stamp=$dir/.tidewheel-$(sha256sum pyproject.toml "$0" | sha256sum | cut -c 1-16)
[ ! -e "$stamp" ] || exit 0

is_new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
python=${2:-${PYTHON:-}}
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
    [ -z "$python" ] || break
    if "$candidate" -c "$is_new_enough" 2>/dev/null; then python=$candidate; fi  # a pyenv shim may exist and yet not run
done
if [ -z "$python" ] || ! "$python" -c "$is_new_enough"; then
    echo "venv: Tidewheel needs Python 3.11 or newer, and ${python:-this machine} is none (name one: make PYTHON=/path/to/python)" >&2
    exit 1
fi
if [ ! -x "$dir/bin/python" ]; then
    echo "venv: making $dir with $("$python" --version)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || scripts/debian.sh "virtual environments" python3-venv
    "$python" -m venv "$dir"
fi
echo "venv: installing Tidewheel and its development tools into $dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"  # the first that reads dependency groups
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check --editable . --group dev
rm -f "$dir"/.tidewheel-*
touch "$stamp"
