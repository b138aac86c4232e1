"""Kills a job whose ranks have requests pending at every safe point, and starts it again.

Receives are either registered with the session, which posts them again, or posted again by the
program itself (CAIRN_PENDING_REQUESTS=repost). The job dies around a commit, some time after it, or
in a restart, and the same command must end with the result of an undisturbed run.
"""

import argparse
import itertools
import sys

from harness import (EXIT_KILLED, Failure, Workspace, check, check_verified, epochs, listed)

RANKS = 4
PERIOD = 37  # safe points between two epochs; no multiple of the program's slots or collectives
SLOTS = 5  # of the program
STEPS = 160  # four epochs
PROGRAM = ["standing_receives", "--steps", str(STEPS)]
MODES = {"registered": [], "repost": ["--repost"]}
PROTOCOLS = ["chandy-lamport", "coordinated"]
# Where the job dies: crash points and hits, of all ranks or of one.
KILLS = [["flipped:2"], ["flipped:3:2"], ["drained:2:1"], ["prepared:2:3"], ["commit_written:2"],
         ["renamed:2"], ["committed:2"], ["committed:2:0"], ["committed:2:3"], ["cut_agreed:3:1"],
         ["committed:2:2", "restart_half_read:1:1"], ["committed:2:1", "restart_done:1:0"],
         # A restart of a restart: what it has posted again is pending at the next epoch.
         ["committed:1", "committed:1:2", "committed:1:1"]]


def run(workspace, directory, mode, protocol, **variables):
    return workspace.run(RANKS, PROGRAM + MODES[mode], DIR=directory, INTERVAL=f"every:{PERIOD}",
                         KEEP=9, PROTOCOL=protocol, **variables)


def run_case(workspace, mode, protocol, kills, expected):
    directory = workspace.directory("checkpoints")
    for kill in kills:
        outcome = run(workspace, directory, mode, protocol, CRASH_AT=kill)
        check(outcome.status == EXIT_KILLED, f"{kill} was not reached: {outcome.describe()}")
        check_verified(directory, f"after {kill}")
    there = epochs(directory)
    check(there, "no epoch was committed before the kill")
    again = run(workspace, directory, mode, protocol)
    check(again.status == 0, f"restart: {again.describe()}")
    check(again.continued == (PERIOD * there[-1], there[-1]), f"restart: {again.describe()}")
    check(again.result == expected, f"result {again.result} instead of {expected}")
    check(not again.cairn_lines(), f"restart: {again.describe()}")
    check(epochs(directory) == list(range(1, STEPS // PERIOD + 1)), f"epochs {epochs(directory)}")
    check_verified(directory, "after the restart")
    # Each rank has sent as many messages as it has slots that the next one has not taken yet.
    for epoch, entry in listed(directory).items():
        check(entry["messages_in_flight"] == SLOTS * RANKS, f"epoch {epoch}: {entry}")


def refused(workspace):
    """The check of the checks: requests that are not registered are in the way, and are named."""
    program = ["standing_receives", "--steps", "1500", "--repost"]
    expected = workspace.reference(RANKS, program).result
    directory = workspace.directory("checkpoints")
    outcome = workspace.run(RANKS, program, DIR=directory, INTERVAL=f"every:{PERIOD}",
                            PENDING_REQUESTS="refuse")
    check(outcome.status == 0 and outcome.result == expected, outcome.describe())
    check(not epochs(directory), f"epochs {epochs(directory)}")
    check(any("MPI_Irecv" in line for line in outcome.cairn_lines()), outcome.describe())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD",
                        help="only cases with these words (default: all)")
    options = parser.parse_args()
    failures = 0
    with Workspace() as workspace:
        expected = workspace.reference(RANKS, PROGRAM).result
        cases = {f"{mode} {protocol} {' '.join(kills)}":
                 lambda case=(mode, protocol, kills): run_case(workspace, *case, expected)
                 for mode, protocol, kills in itertools.product(MODES, PROTOCOLS, KILLS)}
        cases["refused"] = lambda: refused(workspace)
        for name, case in cases.items():
            if not all(word in name for word in options.words):
                continue
            try:
                case()
                print(f"ok      {name}", flush=True)
            except Failure as failure:
                failures += 1
                print(f"FAILED  {name}: {failure}", flush=True)
    print(f"pending_requests: {'FAIL' if failures else 'PASS'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
