"""Kills a job at every crash point there is, and starts it again.

At each point: the job dies there, the epochs that must exist then exist and verify, and the same
command again ends with the result of an undisturbed run. A point that is never passed fails.
"""

import argparse
import dataclasses
import signal
import subprocess
import sys

from harness import (BIN, EXIT_KILLED, Failure, Workspace, cairn, check, check_verified, epochs)

RANKS = 4
PROGRAM = ["ring", "--tokens", "4", "--hops", "300"]
INTERVAL = "every:400"  # three checkpoints
COLLECTIVE = ["cut_agreed", "flipped", "drained", "file_created", "half_written", "data_synced",
              "prepared", "committed"]


@dataclasses.dataclass
class Case:
    point: str
    rank: int | None  # the rank that dies; every rank that passes the point when None

    @property
    def hit(self):
        # With CAIRN_KEEP=1 the second checkpoint is the first one that removes another.
        return 1 if self.point in ("retention_begun", "retention_renamed") else 2

    @property
    def keep(self):
        return 1 if self.point.startswith("retention") else 3

    @property
    def crash_at(self):
        hit = 1 if self.point.startswith(("restart", "compact")) else self.hit
        return f"{self.point}:{hit}" + (f":{self.rank}" if self.rank is not None else "")

    def epochs_afterwards(self, points):
        """The lists of epochs that may be there after a kill at the second checkpoint."""
        if self.point == "prepared" and self.rank not in (None, 0):
            return [[1], [1, 2]]  # rank 0 may or may not commit while this rank dies
        if self.point in ("retention_renamed", "retention_done"):
            return [[2]]
        return [[1, 2]] if points.index(self.point) >= points.index("renamed") else [[1]]


def crash(workspace, directory, case, settings):
    outcome = workspace.run(RANKS, PROGRAM, DIR=directory, INTERVAL=INTERVAL, KEEP=case.keep,
                            CRASH_AT=case.crash_at, **settings)
    check(outcome.status == EXIT_KILLED, f"the point was not reached: {outcome.describe()}")
    return outcome


def crash_compacting(directory, case):
    """`cairn compact` dies, and does it when it is run again."""
    killed = cairn("compact", directory, 2, CRASH_AT=case.crash_at)
    check(killed.returncode == -signal.SIGKILL, f"the point was not reached: {killed.stderr}")
    check_verified(directory, "after the crash")
    done = cairn("compact", directory, 2)
    check(done.returncode == 0, f"compact again: {done.stderr}")
    files = sorted(path.name for path in (directory / "epoch-00000002").iterdir())
    check(len(files) == 2, f"left behind: {files}")


def run_case(workspace, case, points, expected, settings):
    directory = workspace.directory("checkpoints")
    if case.point.startswith("restart"):
        crash(workspace, directory, Case("committed", None), settings)
        allowed = [[1, 2]]
        outcome = crash(workspace, directory, case, settings)
        check(outcome.continued is None, "the program went on before it was killed")
    elif case.point.startswith("compact"):
        crash(workspace, directory, Case("committed", None), {**settings, "COMPRESS": "zstd"})
        allowed = [[1, 2]]
        crash_compacting(directory, case)
    else:
        allowed = case.epochs_afterwards(points)
        crash(workspace, directory, case, settings)
    there = epochs(directory)
    check(there in allowed, f"epochs {there} instead of {' or '.join(map(str, allowed))}")
    check_verified(directory, "after the crash")

    again = workspace.run(RANKS, PROGRAM, DIR=directory, INTERVAL=INTERVAL, KEEP=case.keep,
                          **settings)
    check(again.status == 0, f"restart: {again.describe()}")
    check(again.continued == (400 * there[-1], there[-1]), f"restart: {again.describe()}")
    check(again.result == expected, f"result {again.result} instead of {expected}")
    check_verified(directory, "after the restart")
    left = [path.name for path in directory.iterdir() if path.name.startswith(".")]
    check(not left, f"left behind: {left}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("points", nargs="*", metavar="POINT", help="these only (default: all)")
    parser.add_argument("--protocol", default="chandy-lamport")
    parser.add_argument("--layout", default="shared")
    options = parser.parse_args()
    settings = {"PROTOCOL": options.protocol, "LAYOUT": options.layout}

    listed = subprocess.run([BIN / "crash_test_tool", "points"], capture_output=True, text=True,
                            timeout=10, check=True)
    points = listed.stdout.split()
    cases = [Case(point, None) for point in points]
    cases += [Case(point, rank) for point in COLLECTIVE for rank in (0, 1)]
    failures = 0
    with Workspace() as workspace:
        expected = workspace.reference(RANKS, PROGRAM).result
        for case in cases:
            if options.points and case.point not in options.points:
                continue
            try:
                run_case(workspace, case, points, expected, settings)
                print(f"ok      {case.crash_at}", flush=True)
            except Failure as failure:
                failures += 1
                print(f"FAILED  {case.crash_at}: {failure}", flush=True)
    print(f"crash_points: {'FAIL' if failures else 'PASS'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
