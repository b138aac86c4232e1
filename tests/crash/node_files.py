"""Checkpoints with a file for each node: kill and restart, damage of each file, other programs'
view, refused settings; and a checkpoint of format version 1."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py

from harness import Failure, Workspace, cairn, check, check_verified, epochs, listed

RANKS = 4
NY, NX = 48, 64
PROGRAM = ["heat2d", "--ny", str(NY), "--nx", str(NX), "--steps", "50"]
SLOW = [*PROGRAM[:-1], "600", "--pace-us", "2000"]
INTERVAL = "every:20"


def node_file(directory, epoch, node):
    return directory / f"epoch-{epoch:08}" / f"state-node-{node:04}.h5"


def names(directory, epoch):
    return sorted(path.name for path in (directory / f"epoch-{epoch:08}").iterdir())


def killed_and_restarted(workspace):
    """In a layout, and back in another: the ranks' data is then in other files than before."""
    expected = workspace.reference(RANKS, SLOW).result
    for layout, then in (("group:2", "group:2"), ("group:3", "shared"), ("shared", "group:1")):
        directory = workspace.directory("checkpoints")
        job = workspace.start(RANKS, SLOW, DIR=directory, INTERVAL=INTERVAL, LAYOUT=layout)
        deadline = time.monotonic() + 60
        while len(epochs(directory)) < 2:
            check(time.monotonic() < deadline, "no checkpoints within 60 s")
            check(not job.wait(0.01), "the program ended before it was killed")
        check(job.kill(1), "rank 1 is not there")
        killed = job.finish()
        check(killed.status != 0, f"it outlived the kill: {killed.describe()}")
        check_verified(directory, "after the kill")
        again = workspace.run(RANKS, SLOW, DIR=directory, INTERVAL=INTERVAL, LAYOUT=then)
        check(again.status == 0 and again.continued is not None, again.describe())
        check(again.result == expected, f"result {again.result} instead of {expected}")
        check_verified(directory, "after the restart")


def one_file_for_each_node(workspace):
    """All ranks of this test are on one node."""
    directory = workspace.directory("checkpoints")
    for protocol in ("chandy-lamport", "coordinated"):
        outcome = workspace.run(RANKS, PROGRAM, DIR=directory, INTERVAL=INTERVAL,
                                LAYOUT="per-node", PROTOCOL=protocol, RESTART="never")
        check(outcome.status == 0, outcome.describe())
        epoch = epochs(directory)[-1]
        check(names(directory, epoch) == ["COMMIT.json", "state-node-0000.h5", "state.h5"],
              f"files {names(directory, epoch)}")
    check_verified(directory, "after the runs")


def seen_by_others(workspace):
    """h5py and h5dump, in another directory, of a checkpoint that has been moved."""
    directory = workspace.directory("checkpoints")
    dump = workspace.path / "field.raw"
    outcome = workspace.run(RANKS, [*PROGRAM[:-1], "40", "--dump", str(dump)], DIR=directory,
                            INTERVAL=INTERVAL, LAYOUT="group:3")
    check(outcome.status == 0, outcome.describe())
    check(names(directory, 2) == ["COMMIT.json", "state-node-0000.h5", "state-node-0001.h5",
                                  "state.h5"], f"files {names(directory, 2)}")
    size = sum(path.stat().st_size for path in (directory / "epoch-00000002").iterdir()
               if path.suffix == ".h5")
    check(listed(directory)[2]["bytes"] == size, "`cairn list` shows another size")
    shown = cairn("show", directory, "2")
    check(shown.returncode == 0 and "temperature" in shown.stdout, shown.stdout + shown.stderr)

    moved = workspace.directory("moved")
    shutil.move(directory / "epoch-00000002", moved)
    os.chdir("/")
    with h5py.File(moved / "state.h5", "r") as file:
        stored = file["/regions/temperature"]
        check(stored.shape == (NY, NX) and stored.is_virtual, f"{stored}")
        check(stored[...].tobytes() == dump.read_bytes(), "the fields differ")
        check(list(file["/regions/step"][...]) == [40] * RANKS, "step differs")
    done = subprocess.run(["h5dump", "-d", "/regions/step", moved / "state.h5"],
                          capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0 and "40, 40, 40, 40" in done.stdout, done.stdout + done.stderr)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(workspace):
    """Each file in each way: the restart names the file and takes the epoch before."""
    good = workspace.directory("good")
    outcome = workspace.run(RANKS, PROGRAM, DIR=good, INTERVAL=INTERVAL, LAYOUT="group:2")
    check(outcome.status == 0 and epochs(good) == [1, 2], outcome.describe())
    for node in (0, 1):
        for harm in (flip, truncate, Path.unlink):
            directory = Path(shutil.copytree(good, workspace.directory("case")))
            path = node_file(directory, 2, node)
            harm(path)
            report = cairn("verify", directory)
            check(report.returncode == 1 and path.name in report.stdout,
                  f"{harm.__name__}: {report.stdout}{report.stderr}")
            again = workspace.run(RANKS, PROGRAM, DIR=directory, INTERVAL=INTERVAL)
            check(again.continued == (20, 1) and again.result == outcome.result,
                  f"{harm.__name__}: {again.describe()}")
            check(any(path.name in line for line in again.cairn_lines()),
                  f"{harm.__name__}: {path.name} is not named: {again.describe()}")


def refused(workspace):
    for variables, word in (({"LAYOUT": "per-node", "DRIVER": "mpiio"}, "CAIRN_DRIVER=direct"),
                            ({"LAYOUT": "group:0"}, "group:<ranks>"),
                            ({"LAYOUT": "each"}, "CAIRN_LAYOUT=each")):
        outcome = workspace.run(RANKS, PROGRAM, DIR=workspace.directory("checkpoints"), **variables)
        lines = [line for line in outcome.cairn_lines() if "error: " in line]
        check(outcome.status == 2 and len(lines) == 1 and word in lines[0],
              f"{variables}: {outcome.describe()}")


def version_1(workspace):
    """version1/ was written by `ring --tokens 3 --hops 300` on 2 ranks, at version 1."""
    program = ["ring", "--tokens", "3", "--hops", "300"]
    expected = workspace.reference(2, program).result
    directory = Path(shutil.copytree(Path(__file__).parent / "version1",
                                     workspace.directory("case")))
    check_verified(directory, "version 1")
    outcome = workspace.run(2, program, DIR=directory, INTERVAL="every:400")
    check(outcome.continued == (800, 2), outcome.describe())
    check(outcome.status == 0 and outcome.result == expected, outcome.describe())


def main():
    try:
        with Workspace() as workspace:
            for test in (killed_and_restarted, one_file_for_each_node, seen_by_others, damaged,
                         refused, version_1):
                test(workspace)
                print(f"ok  {test.__name__}", flush=True)
    except Failure as failure:
        print(f"node_files: FAIL: {failure}")
        return 1
    print("node_files: PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
