# Sourced by the scripts beside it: makes and refreshes .venv in the checkout. Needs bash 3.2 and Python 3.11 or newer.
#
# ensure_environment EXTRA...   returns at once when .venv already holds the project with these extras.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 1
venv=$root/.venv
# This program keeps its own bytecode fresh: without it, start-up takes twice as long.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }

# A part is ready when its stamp holds what .venv was made from: this place (a virtual environment cannot be moved)
# and this pyproject.toml.
is_ready() { # PART...
    local part stamp
    IFS= read -r -d '' stamp <"$root/pyproject.toml"
    wanted_stamp=$root$'\n'$stamp
    [ -x "$venv/bin/python" ] || return 1
    for part in project "$@"; do
        stamp=
        [ -f "$venv/.setup-$part" ] && IFS= read -r -d '' stamp <"$venv/.setup-$part"
        [ "$stamp" = "$wanted_stamp" ] || return 1
    done
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() { # prints the interpreter to build with
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && printf '%s\n' "$PYTHON" && return
        say "PYTHON=$PYTHON is not Python 3.11 or newer."
        return 3
    fi
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        is_new_enough "$name" && printf '%s\n' "$name" && return
    done
    say "Python 3.11 or newer is needed, and none of python3, python3.14 … python3.11 is one."
    say "Install it, or name it: PYTHON=/path/to/python3 $0"
    return 3
}

make_venv() { # PYTHON
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || ! is_new_enough "$venv/bin/python"; then
        say "Making .venv with $("$1" --version)"
        "$1" -m venv --clear "$venv" && return
        say "Could not make $venv. On Debian and Ubuntu the package python3-venv is needed."
        return 3
    fi
}

show_progress() { # one line, rewritten, on a terminal; nothing elsewhere
    local line
    while IFS= read -r line; do
        if [ -t 2 ]; then printf '\r\033[K  %.70s' "$line" >&2; fi
    done
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

install_project() { # EXTRA...
    local log=$venv/setup.log extras what status
    extras=$(IFS=,; printf '%s' "$*")
    what="orchestrate${extras:+ with $extras}"
    say "Installing $what into .venv (a minute or two, once)"
    "$venv/bin/python" -m pip install --disable-pip-version-check --editable "$root${extras:+[$extras]}" 2>&1 |
        tee "$log" | show_progress
    status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ]; then
        tail -n 15 "$log" >&2
        say "Installing $what failed; all of pip's output is in $log"
        return 3
    fi
    "$venv/bin/python" -m compileall -q "$root/orchestrator" "$venv"/lib/python3*/site-packages >/dev/null 2>&1
    return 0 # packages may hold files for other Pythons, which do not compile here
}

ensure_environment() { # EXTRA...
    is_ready "$@" && return
    local python part stamped
    python=$(find_python) || exit
    # The lock belongs to the open file, which this shell keeps: it ends with the shell, however that ends.
    exec 9<>"$root/pyproject.toml"
    if ! "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        say "Waiting for another set-up of .venv"
        "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' || exit 3
    fi
    if ! is_ready "$@"; then
        make_venv "$python" || exit
        for stamped in "$venv"/.setup-*; do # what was here stays: an upgrade keeps its extras
            [ -f "$stamped" ] || continue
            part=${stamped##*/.setup-}
            case " $* project * " in *" $part "*) ;; *) set -- "$@" "$part" ;; esac
        done
        rm -f "$venv"/.setup-*
        install_project "$@" || exit
        for part in project "$@"; do
            printf '%s' "$wanted_stamp" >"$venv/.setup-$part.new" && mv "$venv/.setup-$part.new" "$venv/.setup-$part"
        done
        say "Ready."
    fi
    exec 9>&-
}
