#!/usr/bin/env python3
"""Runs one conformance program under mpirun, with or without Cairn, and checks how it ends.

usage: run.py PROGRAM RANKS plain|cairn|chaos|session LIBCAIRN LIBSESSION [ARGUMENT …]

`cairn` preloads the library, `chaos` also makes it take an epoch at about every fifth MPI call.
`session` also preloads LIBSESSION (session.cpp), so that a checkpoint is under way from MPI_Init to
MPI_Finalize: all that waits is polled, but there is nothing to do for a message. The program must
not be able to tell: exit status 0 and its result line, in all modes.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile

MODES = ("plain", "cairn", "chaos", "session")
TIMEOUT_SECONDS = 240
CHAOS = "every:5"
RESULT = re.compile(r"^result: \d+ cases passed$", re.MULTILINE)
COMMITTED = re.compile(r"^cairn: epoch 1 committed at safe point \d+", re.MULTILINE)
WARNING = re.compile(r"^cairn: .*(?:warning|error): .*", re.MULTILINE)
EPOCHS = re.compile(
    r"^cairn: chaos: (\d+) epochs, (\d+) late messages buffered, (\d+) receives re-posted",
    re.MULTILINE,
)


def sanitizer_runtime(library):
    """The sanitizer that a library was built with has to come first, if any."""
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    return re.findall(r"=> (\S*/lib[at]san\.so\S*)", needed)


def command(program, ranks, mode, libcairn, libsession, directory, arguments):
    variables = {
        "plain": [],
        "cairn": [],
        "chaos": [f"CAIRN_CHAOS={CHAOS}"],
        "session": [f"CAIRN_DIR={directory}", "CAIRN_LOG=info"],
    }[mode]
    libraries = [libsession, libcairn] if mode == "session" else [libcairn]
    if mode != "plain":
        variables += ["LD_PRELOAD=" + ":".join(sanitizer_runtime(libcairn) + libraries)]
    forwarded = [word for variable in variables for word in ("-x", variable)]
    return ["mpirun", "--oversubscribe", "-n", ranks, *forwarded, program, *arguments]


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
    if mode == "session":
        if COMMITTED.search(err) is None:
            yield "the session's checkpoint was not taken"
        for warning in WARNING.findall(err):
            yield f"Cairn has something to say: {warning}"


def main():
    if len(sys.argv) < 6 or sys.argv[3] not in MODES:
        sys.exit(__doc__)
    program, ranks, mode, libcairn, libsession, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="cairn-session-") as directory:
        status, out, err = run(
            command(program, ranks, mode, libcairn, libsession, directory, arguments))
    sys.stdout.write(out)
    sys.stderr.write(err)
    found = list(complaints(mode, status, out, err))
    for complaint in found:
        print(f"run.py: {complaint}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
