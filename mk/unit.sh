#!/bin/sh
# unit.sh PROGRAM: runs one program of unit tests (by EMULATOR, if that is set), and shows what it printed if it failed.
set -eu
program=$1
# shellcheck disable=SC2086
if ${EMULATOR-} "$program" >"$program.log" 2>&1; then
    echo "passed: ${program#build/*/tests/}"
else
    echo "FAILED (exit code $?): $program"
    cat "$program.log"
    exit 1
fi
