#!/usr/bin/env bash
# Runs the fast tests without servers on each other Python from 3.12 on that is installed, in virtual environments of their own; on the newest
# of them also the worker's and the examples'.
set -eu
cd "$(dirname "$0")/.."
main=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
newest=
for version in 3.12 3.13 3.14; do
    [ "$version" != "$main" ] || continue
    python=
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python"$version"; do
        if "$candidate" -c '' 2>/dev/null; then python=$candidate; break; fi  # a pyenv shim may exist and yet not run
    done
    if [ -z "$python" ]; then
        echo "other Pythons: $version is not installed here"
        continue
    fi
    scripts/venv.sh ".venv-$version" "$python"
    echo "other Pythons: $version"
    ".venv-$version/bin/python" -m pytest -n 2 --dist loadfile -m "fast and not server"
    newest=$version
done
[ -z "$newest" ] || ".venv-$newest/bin/python" -m pytest -n 2 --dist loadfile -m "not kill and not slow" tests/worker tests/django_project tests/examples
