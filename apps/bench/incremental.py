"""incremental: what checkpoints cost when only a part of the memory has changed.

For each part of the pages that is written to, and for each way of finding that out: how long the
program is blocked, how long until the checkpoint is committed, its size, and what the first write
to a page costs the program; against full checkpoints of the same run, and plain files of what was
written to. Then the restart from a chain of ten, against that from the same content in full."""

import json
import os
import pathlib
import statistics
import tempfile

from common import BIN, mpirun, rounded, row

RANKS = 2
CHAIN = 10  # deltas after each full one
TRACKERS = ("off", "hash", "pagemap", "auto")
GIB = 1 << 30


def size_of(directory, epoch):
    commit = directory / f"epoch-{epoch:08}" / "COMMIT.json"
    return json.loads(commit.read_text(encoding="utf-8"))


def measure(mib, permille, pattern, tracker, restarts):
    """The epochs of two chains, and, if wished for, seconds of restarts."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as name:
        directory = pathlib.Path(name) / "cairn"
        env = {"CAIRN_DIR": str(directory), "CAIRN_INCREMENTAL": tracker,
               "CAIRN_FULL_EVERY": str(CHAIN + 1)}
        program = BIN / "bench_incremental"
        output, _ = mpirun(RANKS, program, "write", mib, permille, pattern, 2 * (CHAIN + 1),
                           cwd=name, env=env)
        lines = [json.loads(line) for line in output.splitlines()]
        for line in lines:
            commit = size_of(directory, line["epoch"])
            line["kind"], line["bytes"] = commit["kind"], commit["bytes"]
        times = {}
        if restarts:
            for what in ("chain", "full"):
                if what == "full":
                    os.system(f"{BIN / 'cairn'} compact {directory} > /dev/null")
                times[what] = []
                for _ in range(restarts):
                    output, _ = mpirun(RANKS, program, "read", mib, cwd=name, env=env)
                    times[what].append(json.loads(output)["restart"])
    return lines, times


def case_rows(mib, permille, pattern, rounds):
    case = f"{RANKS}x{mib}MiB {permille / 10:g}% {pattern}"
    results = []
    runs = {}
    for tracker in TRACKERS:
        restarts = rounds if tracker == "auto" and permille <= 100 else 0
        lines, times = measure(mib, permille, pattern, tracker, restarts)
        full = [line for line in lines if line["kind"] == "full"]
        last = lines[len(lines) // 2 + 1:]  # the second chain: memory is faulted in, choices made
        deltas = [line for line in last if line["kind"] == "delta"] or last
        runs[tracker] = deltas
        full_committed = statistics.median(line["committed"] for line in full)

        def add(metric, unit, values, baselines=None, target=None):
            results.append(row("incremental", f"{case} {tracker}", metric, unit, values,
                               baselines, target))
        blocked = [line["blocked"] for line in deltas]
        bound = [2e-3 * mib * (1 << 20) / GIB + 1.2 * line["memcpy"] for line in deltas]
        few = tracker in ("pagemap", "auto") and permille <= 100
        add("blocked/(2ms/GiB+1.2memcpy)", "s", blocked, bound, 1.0 if few else None)
        committed = [line["committed"] for line in deltas]
        add("committed/full", "s", committed, [full_committed] * len(committed),
            0.05 if few and permille <= 10 else None)
        add("committed/plain_of_dirty", "s", committed, [line["plain"] for line in deltas])
        space = [1.05 * RANKS * line["dirty_bytes"] + (1 << 20) for line in deltas]
        add("bytes/(1.05dirty+1MiB)", "B", [line["bytes"] for line in deltas], space,
            1.0 if tracker != "off" else None)
        touch = statistics.median(line["touch"] for line in runs["off"])
        add("writing_to_pages/untracked", "s", [line["touch"] for line in deltas],
            [touch] * len(deltas))
        if times:
            add("restart_chain/full", "s", times["chain"], times["full"], 1.2)
    # What a checkpoint costs the program and the disk, next to the better of the two.
    cost = {tracker: statistics.median(line["touch"] + line["committed"] for line in deltas)
            for tracker, deltas in runs.items()}
    best = min(cost["hash"], cost["pagemap"])
    results.append({"benchmark": "incremental", "case": case, "metric": "auto/better_tracker",
                    "value": rounded(cost["auto"]), "unit": "s", "baseline": rounded(best),
                    "ratio": round(cost["auto"] / best, 3), "target": 1.1,
                    "met": cost["auto"] <= 1.1 * best})
    return results


def incremental(rounds):
    results = []
    for permille in (1000, 100, 10, 1):
        for pattern in ("contiguous", "scattered"):
            if permille == 1000 and pattern == "scattered":
                continue  # all pages are all pages
            results += case_rows(256, permille, pattern, rounds)
    results += case_rows(1024, 10, "scattered", rounds)
    return results
