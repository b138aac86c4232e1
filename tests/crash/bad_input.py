"""Wrong settings, checkpoints that do not fit, damaged checkpoints, file systems that refuse.

Each must be answered with one clear line that names the thing, with the documented exit status,
and without harm: a refused start leaves the directory as it was, and a correct one then works.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from harness import BIN, Failure, Workspace, check, epochs

RANKS = 4
PROGRAM = ["heat2d", "--nx", "64", "--ny", "48", "--steps", "50"]
INTERVAL = "every:20"  # epoch 1 at step 20, epoch 2 at step 40
BAD_SETTINGS, DAMAGED = 2, 1  # exit statuses


class Bench:
    """A workspace with a good checkpoint directory, of which each case gets a copy."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.expected = workspace.reference(RANKS, PROGRAM).result
        self.good = workspace.directory("good")
        outcome = self.run(self.good)
        check(outcome.status == 0 and epochs(self.good) == [1, 2], outcome.describe())

    def copy(self):
        return Path(shutil.copytree(self.good, self.workspace.directory("case")))

    def run(self, directory, program=None, ranks=RANKS, **variables):
        variables = {"DIR": directory, "INTERVAL": INTERVAL} | variables
        return self.workspace.run(ranks, program or PROGRAM, **variables)

    def refused(self, status, words, directory=None, works_again=True, **how):
        """A start that must be refused with this status and one line that has these words."""
        directory = directory or self.copy()
        before = content(directory)
        outcome = self.run(directory, **how)
        check(outcome.status == status, f"not exit status {status}: {outcome.describe()}")
        check(outcome.result is None, f"it ran: {outcome.describe()}")
        errors = [line for line in outcome.cairn_lines() if "error: " in line]
        check(len(errors) == 1, f"{len(errors)} error lines: {outcome.describe()}")
        for word in words:
            check(word in errors[0], f"'{word}' is not in: {errors[0]}")
        check(content(directory) == before, "the directory has changed")
        if works_again:
            self.runs(directory, (40, 2))

    def runs(self, directory, continues, words=(), **how):
        """A start that must end with the right result, continue from (step, epoch) or be a fresh
        one (None), and print the words in one of Cairn's lines (no line when there are none)."""
        outcome = self.run(directory, **how)
        check(outcome.status == 0, outcome.describe())
        check(outcome.result == self.expected, f"another result: {outcome.describe()}")
        check(outcome.continued == continues,
              f"continued {outcome.continued} instead of {continues}: {outcome.describe()}")
        lines = outcome.cairn_lines()
        if words:
            check(any(all(word in line for word in words) for line in lines),
                  f"no line has all of {words}: {outcome.describe()}")
        else:
            check(not lines, f"unexpected: {outcome.describe()}")
        return outcome


def content(directory):
    """Every file's bytes."""
    return {path.relative_to(directory): path.read_bytes() if path.is_file() else None
            for path in Path(directory).rglob("*")}


def state(directory, epoch):
    return directory / f"epoch-{epoch:08}" / "state.h5"


def commit(directory, epoch):
    return directory / f"epoch-{epoch:08}" / "COMMIT.json"


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@contextlib.contextmanager
def mounted(workspace, options):
    """A small tmpfs, or a Skip when this process must not mount one."""
    point = workspace.directory("mounted")
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", point],
                          capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise Skip(f"can't mount a tmpfs: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], timeout=10, check=False)


class Skip(Exception):
    """Why a case can't be tried here."""


# ---- settings --------------------------------------------------------------------------------

def wrong_value(name, value):
    return lambda bench: bench.refused(BAD_SETTINGS, [f"CAIRN_{name}={value}"], **{name: value})


def unknown_variable(bench):
    bench.runs(bench.copy(), (40, 2), ["warning", "CAIRN_INTERVALL"], INTERVALL="5")


def restart_never(bench):
    directory = bench.copy()
    bench.runs(directory, None, RESTART="never", KEEP="9")
    check(epochs(directory) == [1, 2, 3, 4], f"epochs {epochs(directory)}")


def restart_from_older(bench):
    bench.runs(bench.copy(), (20, 1), RESTART="1")


def restart_from_missing(bench):
    bench.refused(BAD_SETTINGS, ["99", "CAIRN_RESTART"], RESTART="99")


def no_checkpoint(bench):
    bench.runs(bench.workspace.directory("case"), None)


# ---- checkpoints that do not fit --------------------------------------------------------------

def other_ranks(bench):
    bench.refused(BAD_SETTINGS, ["4 ranks", "-n 4"], ranks=3)


def other_program(bench):
    bench.refused(BAD_SETTINGS, ["heat2d", "ring"], program=["ring", "--hops", "10"])


def other_size(bench):
    bench.refused(BAD_SETTINGS, ["temperature"], program=["heat2d", "--nx", "60", *PROGRAM[3:]])


def newer_format(bench):
    directory = bench.copy()
    path = commit(directory, 2)
    before = path.read_text()
    body = before[: before.rindex(",\n")].replace('"format_version": 3', '"format_version": 4')
    done = subprocess.run([BIN / "crash_test_tool", "checksum"], input=body, capture_output=True,
                          text=True, timeout=10, check=True)
    path.write_text(f'{body},\n  "checksum": "{done.stdout.strip()}"\n}}\n')
    bench.refused(BAD_SETTINGS, ["format version 4"], directory, works_again=False)
    path.write_text(before)
    bench.runs(directory, (40, 2))


# ---- damage -----------------------------------------------------------------------------------

def falls_back(damage):
    """Epoch 2 is damaged: the job continues from epoch 1 and says why."""
    def case(bench):
        directory = bench.copy()
        damage(directory)
        bench.runs(directory, (20, 1), ["epoch 2"])
    return case


def all_damaged(bench):
    directory = bench.copy()
    truncate(state(directory, 1))
    flip(commit(directory, 2), 30)
    bench.refused(DAMAGED, ["cairn verify", "CAIRN_RESTART=never"], directory, works_again=False)
    bench.runs(directory, None, RESTART="never")


# ---- file systems that refuse -----------------------------------------------------------------

def below_a_file(bench):
    path = bench.workspace.path / "a_file"
    path.write_text("not a directory")
    bench.runs(path / "checkpoints", None, ["warning", "a_file"])
    check(path.read_text() == "not a directory", "the file has changed")


def read_only(bench):
    with mounted(bench.workspace, "ro,size=1m") as point:
        bench.runs(point / "checkpoints", None, ["warning", str(point)])


def full_disk(bench):
    with mounted(bench.workspace, "size=40k") as point:
        outcome = bench.runs(point / "checkpoints", None, ["warning"])
        check(len(outcome.cairn_lines()) <= 4, f"too many lines: {outcome.describe()}")
        check(not epochs(point / "checkpoints"), "an epoch exists on a full disk")


def disk_fills_up(bench):
    with mounted(bench.workspace, "size=120k") as point:
        directory = Path(shutil.copytree(bench.good, point / "checkpoints"))
        bench.runs(directory, (20, 1), ["warning"], RESTART="1")
        check(epochs(directory) == [1, 2], f"epochs {epochs(directory)}")


CASES = {
    "CAIRN_INTERVAL=often": wrong_value("INTERVAL", "often"),
    "CAIRN_INTERVAL=every:0": wrong_value("INTERVAL", "every:0"),
    "CAIRN_RESTART=maybe": wrong_value("RESTART", "maybe"),
    "CAIRN_KEEP=0": wrong_value("KEEP", "0"),
    "CAIRN_LOG=loud": wrong_value("LOG", "loud"),
    "CAIRN_PROTOCOL=none": wrong_value("PROTOCOL", "none"),
    "unknown variable": unknown_variable,
    "CAIRN_RESTART=never": restart_never,
    "CAIRN_RESTART=1": restart_from_older,
    "CAIRN_RESTART=99": restart_from_missing,
    "no checkpoint": no_checkpoint,
    "other number of ranks": other_ranks,
    "other program": other_program,
    "other region size": other_size,
    "newer format": newer_format,
    "truncated state.h5": falls_back(lambda d: truncate(state(d, 2))),
    "flipped byte, first of state.h5": falls_back(lambda d: flip(state(d, 2), 0)),
    "flipped byte, middle of state.h5":
        falls_back(lambda d: flip(state(d, 2), state(d, 2).stat().st_size // 2)),
    "flipped byte, last of state.h5": falls_back(lambda d: flip(state(d, 2), -1)),
    "state.h5 missing": falls_back(lambda d: state(d, 2).unlink()),
    "COMMIT.json missing": falls_back(lambda d: commit(d, 2).unlink()),
    "COMMIT.json torn": falls_back(lambda d: truncate(commit(d, 2))),
    "COMMIT.json empty": falls_back(lambda d: commit(d, 2).write_bytes(b"")),
    "flipped byte in COMMIT.json": falls_back(lambda d: flip(commit(d, 2), 30)),
    "all damaged": all_damaged,
    "directory below a file": below_a_file,
    "read-only file system": read_only,
    "full disk": full_disk,
    "disk fills up": disk_fills_up,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="these only (default: all)")
    options = parser.parse_args()
    failures = 0
    with Workspace() as workspace:
        bench = Bench(workspace)
        for name, case in CASES.items():
            if options.cases and name not in options.cases:
                continue
            try:
                case(bench)
                print(f"ok       {name}", flush=True)
            except Skip as skip:
                print(f"skipped  {name}: {skip}", flush=True)
            except Failure as failure:
                failures += 1
                print(f"FAILED   {name}: {failure}", flush=True)
    print(f"bad_input: {'FAIL' if failures else 'PASS'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
