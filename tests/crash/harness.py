"""Runs MPI programs under Cairn, kills them, and leaves nothing behind. Standard library only.

Everything that a test starts carries one environment variable with a value of its own, so that
its processes are found by that mark in /proc (also when mpirun is dead and they have a new
parent), and never by name.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("BUILD_BIN", ROOT / "build" / "release" / "bin"))
MARK = "HARNESS_MARK"
RUN_TIMEOUT_SECONDS = 120
LAUNCHER_TIMEOUT_SECONDS = 10  # for mpirun to end when no rank lives any more
EXIT_KILLED = 128 + signal.SIGKILL  # what mpirun returns for a rank that got SIGKILL


class Failure(Exception):
    """A check that did not hold."""


def check(condition, message):
    """`message` is evaluated either way: it must not do anything."""
    if not condition:
        raise Failure(message)


@dataclasses.dataclass
class Outcome:
    """What a finished run has left."""

    status: int
    out: str
    err: str
    seconds: float
    launcher_hung: bool = False  # see Job.launcher_hangs

    @property
    def result(self):
        """The digest after `result: ` in the last line, None when there is none."""
        lines = self.out.strip().splitlines()
        return lines[-1][len("result: ") :] if lines and lines[-1].startswith("result: ") else None

    @property
    def continued(self):
        """(step, epoch) of `continues at step N (epoch M)` (or task), None after a fresh start."""
        found = re.search(r"continues at (?:step|task) (\d+) \(epoch (\d+)\)", self.out)
        return (int(found[1]), int(found[2])) if found else None

    def cairn_lines(self):
        """What Cairn said."""
        return [line for line in self.err.splitlines() if line.startswith("cairn: ")]

    def describe(self):
        return f"exit status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Job:
    """A started mpirun."""

    def __init__(self, command, environment, directory):
        self.mark = environment[MARK]
        self.directory = Path(tempfile.mkdtemp(prefix="job-", dir=directory))
        self.started = time.monotonic()
        self.killed = False
        with open(self.directory / "out", "wb") as out, open(self.directory / "err", "wb") as err:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                cwd=self.directory, start_new_session=True)

    def wait(self, seconds):
        """True when mpirun has ended within this time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def kill(self, rank):
        """SIGKILL to a rank, or to mpirun when `rank` is None. False when it is not there."""
        pids = [self.process.pid] if rank is None else [
            pid for pid, its_rank in marked_processes(self.mark) if its_rank == rank]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed = True
                return True
        return False

    def launcher_hangs(self):
        """Whether nothing is left of the run but an mpirun that hangs because of a kill.

        When a rank dies while it connects to mpirun, within MPI_Init, mpirun of Open MPI 4.1 says
        UNREACHABLE, ends the other ranks, and now and then waits forever in PMIx_server_finalize
        for a lock that its ended thread holds. It does so without Cairn as well; and where no rank
        lives, none of Cairn's code runs."""
        return (self.killed and "PMIX ERROR: UNREACHABLE" in self._text("err")
                and all(rank is None for _, rank in marked_processes(self.mark)))

    def finish(self, timeout=RUN_TIMEOUT_SECONDS, launcher_timeout=LAUNCHER_TIMEOUT_SECONDS):
        """Waits for the end, ends what is left of the run, and says what happened."""
        deadline = time.monotonic() + timeout
        ended = launcher_hung = False
        while not ended and not launcher_hung and time.monotonic() < deadline:
            ranks_gone = self.launcher_hangs()
            ended = self.wait(min(launcher_timeout, max(0, deadline - time.monotonic())))
            launcher_hung = not ended and ranks_gone and self.launcher_hangs()
        end_marked_processes(self.mark, self.process)
        outcome = Outcome(self.process.returncode, self._text("out"), self._text("err"),
                          time.monotonic() - self.started, launcher_hung)
        check(ended or launcher_hung, f"still running after {timeout} s: {outcome.describe()}")
        return outcome

    def _text(self, name):
        return (self.directory / name).read_text(errors="replace")


def marked_processes(mark):
    """(pid, MPI rank or None) of each living process that carries the mark."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            variables = Path("/proc", entry, "environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended, or belongs to somebody else
            continue
        if f"{MARK}={mark}".encode() not in variables:
            continue
        rank = [v[21:] for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
        found.append((int(entry), int(rank[0]) if rank else None))
    return found


def end_marked_processes(mark, launcher, timeout=15):
    """Ends all processes of a run, after a moment in which they may end by themselves."""
    start = time.monotonic()
    while True:
        if launcher.poll() is not None:
            # Orphans of a dead mpirun are ours (see adopt_orphans): collect those that have ended.
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0] > 0:
                    pass
        left = marked_processes(mark)
        if not left and launcher.poll() is not None:
            return
        waited = time.monotonic() - start
        check(waited < timeout, f"processes {left} of a run can't be ended")
        if waited > 0.5 or launcher.poll() is None:
            for pid, _ in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def adopt_orphans():
    """Makes this process the parent of orphaned descendants, so that no zombie stays behind in a
    container whose process 1 does not collect them."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


class Workspace:
    """Temporary directories, and the environment of the programs that run in them."""

    def __enter__(self):
        adopt_orphans()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up on ctest's time-out
        self.path = Path(tempfile.mkdtemp(prefix="cairn-test-"))
        # Killed ranks leave their shared-memory segments; in a directory of ours they go with it.
        shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.shared_memory = Path(tempfile.mkdtemp(prefix="cairn-test-", dir=shm))
        self.jobs = []
        return self

    def __exit__(self, *_):
        for job in self.jobs:
            if job.process.poll() is None:
                job.process.kill()
            end_marked_processes(job.mark, job.process)
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.shared_memory, ignore_errors=True)

    def directory(self, name):
        """A fresh directory's path below the workspace; it does not exist."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def environment(self, variables):
        """This process's environment without CAIRN_*, with `variables` (names without CAIRN_)."""
        result = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
        if os.geteuid() == 0:
            result |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        result |= {"OMPI_MCA_mpi_yield_when_idle": "1",
                   "OMPI_MCA_hwloc_base_binding_policy": "none",
                   "OMPI_MCA_orte_tmpdir_base": str(self.path),
                   "OMPI_MCA_btl_vader_backing_directory": str(self.shared_memory),
                   "TMPDIR": str(self.path), MARK: f"{os.getpid()}-{time.monotonic_ns()}"}
        return result | {f"CAIRN_{k}": str(v) for k, v in variables.items()}

    def start(self, ranks, program, **variables):
        """Starts a program (a list) on `ranks` ranks, e.g. start(4, ["ring"], INTERVAL="off")."""
        command = ["mpirun", "--oversubscribe", "-n", str(ranks), str(BIN / program[0])]
        job = Job(command + list(program[1:]), self.environment(variables), self.path)
        self.jobs.append(job)
        return job

    def run(self, ranks, program, **variables):
        return self.start(ranks, program, **variables).finish()

    def reference(self, ranks, program):
        """Result of a run that nothing disturbs and that takes no checkpoint."""
        outcome = self.run(ranks, program, INTERVAL="off", DIR=self.directory("reference"))
        check(outcome.status == 0 and outcome.result is not None,
              f"undisturbed run of {program[0]}: {outcome.describe()}")
        return outcome


def epochs(directory):
    """Numbers of the epochs in a checkpoint directory, ascending."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = [re.fullmatch(r"epoch-(\d+)", name) for name in os.listdir(directory)]
        return sorted(int(match[1]) for match in found if match)
    return []


def history(directory, event):
    """The lines of history.jsonl with this event. A kill may tear a line; that one is skipped."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in Path(directory, "history.jsonl").read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                if entry.get("event") == event:
                    found.append(entry)
    return found


def cairn(*arguments, **settings):
    """Runs the `cairn` command; settings are CAIRN_* variables without that prefix."""
    environment = {**os.environ, **{f"CAIRN_{name}": value for name, value in settings.items()}}
    return subprocess.run([BIN / "cairn", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_SECONDS, check=False)


def check_verified(directory, when):
    """`cairn verify` finds every epoch good."""
    if epochs(directory):
        report = cairn("verify", directory)
        check(report.returncode == 0,
              f"cairn verify, {when}: exit status {report.returncode}\n"
              f"{report.stdout}{report.stderr}")


def listed(directory):
    """What `cairn list --json` tells of each epoch, by its number."""
    report = cairn("list", directory, "--json")
    check(report.returncode == 0,
          f"cairn list: exit status {report.returncode}\n{report.stdout}{report.stderr}")
    entries = json.loads(report.stdout)
    if isinstance(entries, dict):
        entries = entries["epochs"]
    return {entry["epoch"]: entry for entry in entries}
