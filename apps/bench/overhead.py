"""What Cairn costs per message: bench_messages in time, bench_instructions in instructions.

Times of processes that ran one after the other differ by more than Cairn costs. So four jobs of the
same program live at the same time on the same cores, and take turns of about 7 ms, all but one
asleep: plain, plain again, with Cairn, and with a session of Cairn's. A ratio is that of two turns
out of one group of four, in random order, some 10 ms apart; what is printed is the median of all
groups' ratios, with quartiles. Jobs are started anew several times, since where a process's memory
happens to lie matters too. "plain again" shows how much of a ratio is noise."""

import contextlib
import itertools
import os
import pathlib
import random
import re
import select
import subprocess
import sys
import tempfile
import time

from common import BIN, LIBCAIRN, environment, how_ranks_run, mpirun, mpirun_command, row

RANKS = 2
SECONDS_PER_START = 21
TARGETS = {"ping_pong_8B": 1.05, "rate_isend_64x8B": 1.05, "rate_send_64x8B": 1.05,
           "jacobi_512x512": 1.01}
JOBS = {  # name: is Cairn there, what its rows are called
    "plain": (False, None), "control": (False, "time_plain_again"),
    "cairn": (True, "time"), "session": (True, "time_with_session")}
SESSION = {"CAIRN_INTERVAL": "60"}  # longer than a job lives: no checkpoint


def preload(with_cairn):
    return ["env", f"LD_PRELOAD={LIBCAIRN}"] if with_cairn else []


def check_greeting(number, with_cairn):
    if int(number) != int(with_cairn):
        sys.exit("overhead: LD_PRELOAD had no effect" if with_cairn else
                 "overhead: Cairn is there although it was not asked for")


class Job:
    """bench_messages, asleep until it is told to time a case."""

    def __init__(self, name, directory):
        self.name = name
        with_cairn, _ = JOBS[name]
        directory.mkdir()
        for pipe in ("time", *(f"case-{rank}" for rank in range(RANKS))):
            os.mkfifo(directory / pipe)
        # Open for both directions, so that opening does not wait for the other end.
        self.commands = [os.open(directory / f"case-{rank}", os.O_RDWR) for rank in range(RANKS)]
        self.answers = os.open(directory / "time", os.O_RDWR)
        self.log = directory / "log"
        command = [*preload(with_cairn), BIN / "bench_messages", directory]
        if name == "session":
            command.append("session")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                mpirun_command(RANKS, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, env=environment(**(SESSION if name == "session" else {})))
        _, number, *self.cases = self.answer().split()
        check_greeting(number, with_cairn)

    def answer(self):
        deadline = time.monotonic() + 120
        while not select.select([self.answers], [], [], 0.5)[0]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"bench_messages ({self.name}) does not answer\n{self.log.read_text()}")
        return os.read(self.answers, 4096).decode()

    def seconds(self, case):
        for command in self.commands:
            os.write(command, f"{case}\n".encode())
        return float(self.answer()) / 1e6

    def close(self):
        for pipe in (*self.commands, self.answers):
            os.close(pipe)
        if self.process.wait(timeout=60) != 0:
            sys.exit(f"bench_messages ({self.name}) ended with status "
                     f"{self.process.returncode}\n{self.log.read_text()}")


def times_of_one_start(times):
    """Adds groups of turns to times[case]."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as directory, \
            contextlib.ExitStack() as stack:
        jobs = []
        for name in JOBS:
            jobs.append(Job(name, pathlib.Path(directory) / name))
            stack.callback(jobs[-1].close)
        for case in jobs[0].cases:
            one_group(jobs, case)  # warms up
        end = time.monotonic() + SECONDS_PER_START
        for case in itertools.cycle((*jobs[0].cases, *TARGETS)):  # those with a target twice
            if time.monotonic() > end:
                break
            times.setdefault(case, []).append(one_group(jobs, case))


def one_group(jobs, case):
    """{job: seconds} of one turn of each job, in random order."""
    return {job.name: job.seconds(case) for job in random.sample(jobs, len(jobs))}


def time_rows(rounds):
    times = {}
    for _ in range(rounds):
        times_of_one_start(times)
    for case, groups in times.items():
        for name, (_, metric) in JOBS.items():
            if metric is not None:
                result = row("overhead", case, metric, "us", [1e6 * one[name] for one in groups],
                             [1e6 * one["plain"] for one in groups],
                             TARGETS.get(case) if name == "cairn" else None)
                yield dict(result, pairs=len(groups))


def instructions(with_cairn):
    """{case: instructions per message} of bench_instructions, which says how to count them."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as directory:
        mpirun(1, *preload(with_cairn), "valgrind", "--tool=callgrind",
               "--callgrind-out-file=counts", "--dump-before=measured_*",
               BIN / "bench_instructions", cwd=directory)
        numbered = sorted(pathlib.Path(directory).glob("counts.*"),
                          key=lambda path: int(path.suffix[1:]))
        last = pathlib.Path(directory, "counts")  # of the end, without a number in some versions
        parts = [path.read_text(encoding="utf-8") for path in [*numbered, last] if path.exists()]
    # Part n ends where call n begins, so a call's cost is in the part after the one it ends.
    calls = re.findall(r"Trigger: --dump-before=measured_(\w+)", "".join(parts))
    costs = [int(re.search(r"^summary: (\d+)", part, re.MULTILINE)[1]) for part in parts[1:]]
    return {calls[i]: (costs[i + 2] - costs[i + 1]) / (640 - 64)
            for i in range(0, len(costs), 3)}


def instruction_rows():
    plain, cairn = instructions(False), instructions(True)
    for case in plain:
        result = row("overhead", case, "instructions_per_message", "instructions",
                     [cairn[case]], [plain[case]])
        result["difference"] = round(cairn[case] - plain[case], 1)
        yield result


def overhead(rounds):
    print(f"overhead: {how_ranks_run(RANKS)}; {rounds} starts of "
          f"{SECONDS_PER_START} s;\n"
          "overhead: time_plain_again is the noise; instructions: one rank to itself, callgrind")
    results = [*time_rows(rounds), *instruction_rows()]
    noise = {result["case"]: result["ratio"] for result in results
             if result["metric"] == JOBS["control"][1]}
    for result in results:
        if "target" in result:
            print(f"overhead: {result['case']}: target {result['target']}, measured "
                  f"{result['ratio']} (plain again: {noise[result['case']]}): "
                  f"{'met' if result['met'] else 'MISSED'}")
    return results
