#!/usr/bin/env python3
"""Runs c_interface's scenarios: the program lives, and Cairn says each thing once, in one line."""

import collections
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(os.environ["BUILD_BIN"], "c_interface")
RANKS = 2
EACH = RANKS  # lines that each rank prints
CALLS = ["cairn_protect", "cairn_protect_bytes", "cairn_protect_array", "cairn_protect_requests",
         "cairn_restart", "cairn_safe_point", "cairn_safe_begin", "cairn_safe_end",
         "cairn_checkpoint"]
REFUSED = "no checkpoint at safe point"


def of_each_call(text):
    return {f"error: {call}: {text}": EACH for call in CALLS}


# Scenario: what each of its runs prints, and Cairn's lines, as the beginnings of "… error: …" or a
# part of it, with their numbers.
SCENARIOS = {
    "all_calls": [("epoch 1", {}), ("epoch 2", {}), ("epoch 3", {})],
    "pending_requests": [("", {"registered twice": EACH}), ("", {})],
    "outside_of_mpi": [
        ("", {"error: cairn_open: MPI is not initialized: make the cairn session between": EACH}
         | of_each_call("MPI_Finalize has ended the cairn session: use it before"))],
    "no_session": [
        ("", {"error: cairn_open: a cairn session is open already: close it first": 1}
         | of_each_call("the session is null; cairn_open makes one")
         | of_each_call("this session has been closed; cairn_open makes another")
         | {"error: cairn_close: this session has been closed": EACH})],
    "communicators": [
        ("", {"error: cairn_open: a cairn session needs a communicator with the ranks of": 1,
              "error: cairn_open: rank 1: a cairn session needs a communicator": 1})],
    "protecting": [
        ("", {'error: cairn_protect: "u" can\'t be protected: it has elements, but its memory': EACH,
              'error: cairn_protect: "u" can\'t be protected: 4611686018427387903 elements': EACH,
              "there is no cairn_type 0; see cairn.h": EACH,
              "there is no cairn_type 99; see cairn.h": EACH,
              'error: cairn_protect_bytes: "u" can\'t be protected: it has elements, but': EACH,
              "an array has 1 to 8 dimensions, not 0": EACH,
              "an array has 1 to 8 dimensions, not 9": EACH,
              "global, offset or local is null": EACH,
              "this rank's part lies outside the global shape": EACH,
              "it has more than 2^64 bytes": EACH,
              'error: cairn_protect_requests: "u" can\'t be protected: the array of': EACH,
              REFUSED: 2 * EACH})],
    "names": [
        ("", {"error: cairn_protect: a name is null: give it one": 1,
              "error: cairn_protect_bytes: a name is null: give it one": 1,
              "error: cairn_protect_array: a name is null: give it one": 1,
              "error: cairn_protect_requests: a name is null: give it one": 1,
              'error: cairn_protect: "" can\'t be a name': 1,
              'error: cairn_protect: "nnn': 1,
              REFUSED: 1})],
    "different_names": [("", {"the ranks do not protect the same names": 1})],
    "regions": [("", {"error: cairn_safe_end: a safe region is ended that has not been begun": EACH})],
    "restart_twice": [("epoch 1", {"restart() has been called before": 2}),
                      ("epoch 2", {"restart() has been called before": 2})],
    "no_restart": [("taken", {}), ("refused", {"restart() has not been called": 1})],
}
SETTINGS = {"regions": {"CAIRN_CUT": "marker", "CAIRN_INTERVAL": "every:1"}}


def problems(done, printed, expected):
    """What is not as it should be, if anything."""
    if done.returncode != 0:
        yield f"exit status {done.returncode}"
    if done.stdout.strip() != printed:
        yield f"printed {done.stdout.strip()!r} instead of {printed!r}"
    counts = collections.Counter()
    for line in done.stderr.splitlines():
        if not line.startswith("cairn: "):
            continue
        words = [text for text in expected if text in line]
        if len(words) != 1:
            yield f"{len(words)} of the expected lines are: {line}"
        counts.update(words)
    for text, number in expected.items():
        if counts[text] != number:
            yield f"{counts[text]} instead of {number} lines with: {text}"


def main():
    failures = 0
    for name, runs in SCENARIOS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory(prefix="cairn-c-") as directory:
            for number, (printed, expected) in enumerate(runs, start=1):
                environment = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
                environment |= {"CAIRN_DIR": directory, "CAIRN_INTERVAL": "off"}
                environment |= SETTINGS.get(name, {})
                done = subprocess.run(
                    ["mpirun", "--oversubscribe", "-n", str(RANKS), PROGRAM, name], text=True,
                    env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                    check=False)
                found = list(problems(done, printed, expected))
                failures += bool(found)
                print(f"{'FAILED' if found else 'ok':<8}{name}, run {number}", flush=True)
                for problem in found:
                    print(f"        {problem}")
                if found:
                    print(done.stderr)
    print("FAIL" if failures else "PASS")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
