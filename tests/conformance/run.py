#!/usr/bin/env python3
"""Runs one conformance program under mpirun, with or without Cairn, and checks how it ends.

usage: run.py PROGRAM RANKS plain|cairn|chaos LIBCAIRN [ARGUMENT …]

`cairn` preloads the library, `chaos` also makes it take an epoch at about every fifth MPI call.
The program must not be able to tell: exit status 0 and its result line, in all three modes.
"""

import os
import re
import signal
import subprocess
import sys

TIMEOUT_SECONDS = 240
CHAOS = "every:5"
RESULT = re.compile(r"^result: \d+ cases passed$", re.MULTILINE)
EPOCHS = re.compile(
    r"^cairn: chaos: (\d+) epochs, (\d+) late messages buffered, (\d+) receives re-posted",
    re.MULTILINE,
)


def sanitizer_runtime(library):
    """The sanitizer that a library was built with has to come first, if any."""
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    return re.findall(r"=> (\S*/lib[at]san\.so\S*)", needed)


def command(program, ranks, mode, library, arguments):
    preload = {"plain": [], "cairn": [], "chaos": ["-x", f"CAIRN_CHAOS={CHAOS}"]}[mode]
    if mode != "plain":
        libraries = [*sanitizer_runtime(library), library]
        preload += ["-x", "LD_PRELOAD=" + ":".join(libraries)]
    return ["mpirun", "--oversubscribe", "-n", ranks, *preload, program, *arguments]


def run(arguments):
    """Exit status (None on a time-out), standard output and standard error."""
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "CAIRN_CHAOS")}
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # mpirun and its ranks: one group, killed as one
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        # mpirun ends its ranks, which are in groups of their own, on SIGTERM.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        return None, out, err


def complaints(mode, status, out, err):
    if status is None:
        yield f"not finished after {TIMEOUT_SECONDS} s"
    elif status != 0:
        yield f"exit status {status}"
    if len(RESULT.findall(out)) != 1:
        yield "not exactly one result line"
    if "cannot be preloaded" in err:
        yield "Cairn was not there"  # the loader goes on without it
    if mode == "chaos":
        found = EPOCHS.search(err)
        if found is None:
            yield "no line about chaos and its epochs"
        elif int(found[1]) < 1:
            yield "no epoch was taken"


def main():
    if len(sys.argv) < 5 or sys.argv[3] not in ("plain", "cairn", "chaos"):
        sys.exit(__doc__)
    program, ranks, mode, library = sys.argv[1:5]
    status, out, err = run(command(program, ranks, mode, library, sys.argv[5:]))
    sys.stdout.write(out)
    sys.stderr.write(err)
    found = list(complaints(mode, status, out, err))
    for complaint in found:
        print(f"run.py: {complaint}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
