#!/usr/bin/env python3
"""Runs Cairn's benchmarks, prints a table and, with --json, writes

    [{"benchmark": …, "case": …, "metric": …, "value": …, "unit": …, "baseline": …, "ratio": …,
      "quartiles": [first, third], "pairs": …, "difference": …, "target": …, "met": …}, …]

`baseline` is the same work without Cairn; `ratio` is the median of the rounds' ratios, so it is
not exactly value / baseline, and `quartiles` are theirs. The baseline runs in every round, next to
what it is compared with. Fields that make no sense in a row are not there.

usage: run.py [overhead|checkpoint|blocking|incremental|disk|units …] [--json FILE] [--rounds N]
Binaries come from $BUILD_BIN."""

import argparse
import json
import pathlib
import subprocess
import tempfile

from common import BIN, mpirun, row
from incremental import incremental
from overhead import overhead

# ---- checkpoint: against plain files ------------------------------------------------------------

def checkpoint(rounds):
    ranks = 2
    results = []
    for mib in (64, 256):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as directory:
            env = {"CAIRN_DIR": str(pathlib.Path(directory) / "cairn")}
            program = BIN / "bench_checkpoint"
            output, _ = mpirun(ranks, program, "write", mib, rounds + 1, cwd=directory, env=env)
            writes = [json.loads(line) for line in output.splitlines()][1:]
            reads = []
            for number in range(rounds + 1):
                order = "plain" if number % 2 else "cairn"
                output, _ = mpirun(ranks, program, "read", mib, order, cwd=directory, env=env)
                reads.append(json.loads(output))
        case = f"{ranks}x{mib}MiB"

        def add(metric, rounds_, name):
            results.append(row("checkpoint", case, metric, "s", [one[name] for one in rounds_],
                               [one["plain"] for one in rounds_]))
        add("checkpoint_until_committed", writes, "cairn")
        add("memcpy", writes, "memcpy")
        add("restart", reads[1:], "cairn")
    return results


# ---- blocking: how long a checkpoint keeps the program -------------------------------------------

def blocking(rounds):
    ranks = 2
    results = []
    for mib in (64, 256, 1024):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as directory:
            env = {"CAIRN_DIR": str(pathlib.Path(directory) / "cairn")}
            output, _ = mpirun(ranks, BIN / "bench_blocking", mib, rounds + 1, cwd=directory,
                               env=env)
        lines = [json.loads(line) for line in output.splitlines()][1:]

        def add(metric, name, baseline, target=None):
            results.append(row("blocking", f"{ranks}x{mib}MiB", metric, "s",
                               [line[name] for line in lines],
                               [line[baseline] for line in lines], target))
        add("blocked/memcpy", "blocked", "memcpy", 1.2)
        add("blocked/coordinated", "blocked", "waiting")
        add("blocked_next_to_a_rank_1_s_late/blocked", "blocked_by_late", "blocked")
        add("committed/plain", "committed", "plain", 1.11)
        add("coordinated/plain", "waiting", "plain", 1.11)
        add("step_during/step", "step_during", "step_before")
    return results


# ---- disk: ways to write a file ------------------------------------------------------------------

def disk(rounds):
    results = []
    for ranks, mib in ((1, 256), (2, 128)):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BIN.parent) as directory:
            output, _ = mpirun(ranks, BIN / "bench_disk", mib, rounds + 1, cwd=directory)
        lines = [json.loads(line) for line in output.splitlines()]
        ways = sorted({line["way"] for line in lines})
        for way in ways:
            those = [line for line in lines if line["way"] == way][1:]
            results.append(row("disk", f"{ranks}x{mib}MiB", way, "s",
                               [line["seconds"] for line in those],
                               [line["plain"] for line in those]))
    return results


# ---- units: Google Benchmark --------------------------------------------------------------------

def units(_rounds):
    done = subprocess.run([str(BIN / "bench_units"), "--benchmark_format=json",
                           "--benchmark_min_time=0.2"], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    results = []
    for one in json.loads(done.stdout)["benchmarks"]:
        if "bytes_per_second" in one:
            results.append(row("units", one["name"], "rate", "GB/s",
                               [one["bytes_per_second"] / 1e9]))
        else:
            own_clock = one["name"].endswith("/manual_time")
            results.append(row("units", one["name"], "time", one["time_unit"],
                               [one["real_time" if own_clock else "cpu_time"]]))
    return results


BENCHMARKS = {"overhead": overhead, "checkpoint": checkpoint, "blocking": blocking,
              "incremental": incremental, "disk": disk, "units": units}


def print_table(results):
    heading = ("benchmark", "case", "metric", "value", "unit", "baseline", "ratio", "quartiles",
               "pairs", "difference", "target")
    heading = [name for name in heading if any(name in result for result in results)]
    table = [heading]
    for result in results:
        cells = dict(result)
        if "quartiles" in cells:
            cells["quartiles"] = "{}-{}".format(*cells["quartiles"])
        if "target" in cells:
            cells["target"] = f"{cells['target']} {'met' if cells['met'] else 'MISSED'}"
        table.append([str(cells.get(name, "")) for name in heading])
    widths = [max(len(line[i]) for line in table) for i in range(len(heading))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description="Runs Cairn's benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    for name in args.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}: there are {', '.join(BENCHMARKS)}")

    results = []
    for name in args.names or BENCHMARKS:
        results += BENCHMARKS[name](args.rounds)
    print_table(results)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
