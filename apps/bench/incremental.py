"""incremental: what checkpoints cost when only a part of the memory has changed.

For each part of the pages that is written to, and for each way of finding that out: how long the
program is blocked, how long until the checkpoint is committed, its size, and what the first write
to a page costs the program; against full checkpoints of the same run, and plain files of what was
written to. Then the restart from a chain of ten, against that from the same content in full."""

import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile

from common import BIN, mpirun, rounded, row

RANKS = 2
CHAIN = 10  # deltas after each full one
TRACKERS = ("off", "hash", "pagemap", "auto")
GIB = 1 << 30
# MiB per rank, permille of the pages, pattern, when they are written to
CASES = ((256, 1000, "contiguous", "late"),
         (256, 100, "contiguous", "late"), (256, 100, "scattered", "late"),
         (256, 100, "scattered", "early"),
         (256, 10, "contiguous", "late"), (256, 10, "scattered", "late"),
         (256, 1, "contiguous", "late"), (256, 1, "scattered", "late"),
         (1024, 10, "scattered", "late"))


class Runs:
    """What was measured of one case, by tracker: a line for each epoch, seconds of restarts."""

    def __init__(self, case):
        self.case = case
        self.full, self.deltas = [], {tracker: [] for tracker in TRACKERS}
        self.restarts = {"chain": [], "full": []}

    def run(self, tracker, restarts):
        mib, permille, pattern, when = self.case
        # Memory is faulted in, and choices are made, when the last chain begins.
        epochs = 4 if tracker == "off" or permille > 500 else 2 * (CHAIN + 1)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as name:
            directory = pathlib.Path(name) / "cairn"
            env = {"CAIRN_DIR": str(directory), "CAIRN_INCREMENTAL": tracker,
                   "CAIRN_FULL_EVERY": str(CHAIN + 1)}
            program = BIN / "bench_incremental"
            output, _ = mpirun(RANKS, program, "write", mib, permille, pattern, when, epochs,
                               cwd=name, env=env)
            lines = [json.loads(line) for line in output.splitlines()]
            for line in lines:
                path = directory / f"epoch-{line['epoch']:08}" / "COMMIT.json"
                commit = json.loads(path.read_text(encoding="utf-8"))
                line["kind"], line["bytes"] = commit["kind"], commit["bytes"]
            if tracker == "off":
                self.full += lines[1:]
            self.deltas[tracker] += lines[epochs // 2 + 1:] if epochs > CHAIN else lines[1:]
            for what in ("chain", "full") if restarts else ():
                if what == "full":
                    subprocess.run([BIN / "cairn", "compact", directory], check=True,
                                   stdout=subprocess.DEVNULL)
                for _ in range(restarts):
                    output, _ = mpirun(RANKS, program, "read", mib, cwd=name, env=env)
                    self.restarts[what].append(json.loads(output)["restart"])

    def rows(self):
        mib, permille, pattern, when = self.case
        case = f"{RANKS}x{mib}MiB {permille / 10:g}% {pattern}" + (", early" * (when == "early"))
        results = []
        full = statistics.median(line["committed"] for line in self.full)
        untracked = statistics.median(line["touch"] for line in self.full)
        for tracker, lines in self.deltas.items():
            few = tracker in ("pagemap", "auto") and permille <= 100

            def add(metric, unit, value, baseline, target=None):
                results.append(row("incremental", f"{case} {tracker}", metric, unit,
                                   [value(line) for line in lines],
                                   [baseline(line) for line in lines], target))
            add("blocked/(2ms/GiB+1.2memcpy)", "s", lambda line: line["blocked"],
                lambda line: 2e-3 * mib * (1 << 20) / GIB + 1.2 * line["memcpy"],
                1.0 if few else None)
            add("committed/full", "s", lambda line: line["committed"], lambda line: full,
                0.05 if few and permille <= 10 else None)
            add("committed/plain_of_dirty", "s", lambda line: line["committed"],
                lambda line: line["plain"])
            add("bytes/(1.05dirty+1MiB)", "B", lambda line: line["bytes"],
                lambda line: 1.05 * RANKS * line["dirty_bytes"] + (1 << 20),
                1.0 if tracker != "off" else None)
            add("writing_to_pages/untracked", "s", lambda line: line["touch"],
                lambda line: untracked)
        if self.restarts["chain"]:
            results.append(row("incremental", f"{case} auto", "restart_chain/full", "s",
                               self.restarts["chain"], self.restarts["full"], 1.2))
        results.append(self.choice(case))
        return results

    def choice(self, case):
        """What a checkpoint costs the program and the disk, next to the better of the two."""
        cost = {tracker: statistics.median(line["touch"] + line["committed"] for line in lines)
                for tracker, lines in self.deltas.items()}
        best = min(cost["hash"], cost["pagemap"])
        return {"benchmark": "incremental", "case": case, "metric": "auto/better_tracker",
                "value": rounded(cost["auto"]), "unit": "s", "baseline": rounded(best),
                "ratio": round(cost["auto"] / best, 3), "target": 1.1,
                "met": cost["auto"] <= 1.1 * best}


def incremental(rounds):
    results = []
    for case in CASES:
        runs = Runs(case)
        for i in range(rounds):
            # In alternation: disks and neighbours change their minds.
            for tracker in random.sample(TRACKERS, len(TRACKERS)):
                os.sync()  # what the run before has left to do
                last = i == rounds - 1 and tracker == "auto" and case[1] <= 100
                runs.run(tracker, rounds if last else 0)
        results += runs.rows()
    return results
