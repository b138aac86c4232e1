#!/usr/bin/env python3
"""Runs Cairn's benchmarks, prints a table and, with --json, writes

    [{"benchmark": …, "case": …, "metric": …, "value": …, "unit": …,
      "baseline": …, "ratio": …}, …]

`baseline` is the same work without Cairn; `ratio` is the median of the rounds' ratios, so it is
not exactly value / baseline. The baseline runs in every round, next to what it is compared with.

usage: run.py [overhead|checkpoint|units …] [--json FILE] [--rounds N]
Binaries come from $CAIRN_BIN."""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ.get("CAIRN_BIN", "build/release/bin")).resolve()
LIBCAIRN = BIN.parent / "lib" / "libcairn.so"


def mpirun(ranks, *command, cwd=None, env=None):
    """Standard output and error of an MPI program on `ranks` ranks, one core each if there are
    enough; busy waiting, as on a machine that one has to oneself."""
    enough = len(os.sched_getaffinity(0)) >= ranks
    mpi = ["mpirun", "--oversubscribe", "-n", ranks, "--bind-to", "core" if enough else "none",
           "--mca", "mpi_yield_when_idle", 0 if enough else 1]
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith("CAIRN_")}
    done = subprocess.run([str(word) for word in (*mpi, *command)], cwd=cwd, text=True,
                          env=dict(variables, **(env or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)} ended with status "
                 f"{done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def row(benchmark, case, metric, unit, values, baselines=None):
    """One result from the rounds' values, rounded to what they are worth."""
    result = {"benchmark": benchmark, "case": case, "metric": metric,
              "value": float(f"{statistics.median(values):.4g}"), "unit": unit}
    if baselines:
        ratios = [value / baseline for value, baseline in zip(values, baselines)]
        result["baseline"] = float(f"{statistics.median(baselines):.4g}")
        result["ratio"] = round(statistics.median(ratios), 3)
    return result


# ---- overhead: the same program with and without Cairn under it ---------------------------------

def preload(with_cairn):
    return ["env", f"LD_PRELOAD={LIBCAIRN}"] if with_cairn else []


def parse_cases(output, with_cairn):
    """{case: microseconds} of bench_messages, which must have run as it was told to."""
    lines = dict(line.split() for line in output.splitlines() if len(line.split()) == 2)
    if int(lines.pop("cairn")) != int(with_cairn):
        sys.exit("bench_messages: LD_PRELOAD had no effect" if with_cairn else
                 "bench_messages: Cairn is there although it was not asked for")
    return {case: float(value) for case, value in lines.items()}


def instructions(case, messages, with_cairn):
    """User instructions of a run of bench_messages in which one rank sends `messages` to itself;
    None where they can't be counted."""
    program = [BIN / "bench_messages", case, messages]
    perf = ["perf", "stat", "-x", ",", "-e", "instructions:u"]
    if shutil.which("perf") and subprocess.run(
            [*perf, "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True).stderr[:1].isdigit():
        _, errors = mpirun(1, *perf, *preload(with_cairn), *program)
        return int(re.search(r"^(\d+),", errors, re.MULTILINE)[1])
    if shutil.which("valgrind"):
        _, errors = mpirun(1, *preload(with_cairn), "valgrind", "--tool=callgrind",
                           "--callgrind-out-file=/dev/null", *program)
        return int(re.search(r"Collected\s*:\s*(\d+)", errors)[1])
    return None


def instructions_per_message(case, with_cairn):
    """What a message adds: starting and ending MPI is the same in both runs, and cancels."""
    few, many = 640, 6400
    first, second = (instructions(case, messages, with_cairn) for messages in (few, many))
    return None if first is None else (second - first) / (many - few)


def overhead(rounds):
    times = {False: [], True: []}
    for number in range(rounds + 1):
        for with_cairn in (False, True) if number % 2 else (True, False):
            output, _ = mpirun(2, *preload(with_cairn), BIN / "bench_messages")
            if number > 0:  # the first round warms up
                times[with_cairn].append(parse_cases(output, with_cairn))
    results = [row("overhead", case, "time", "us", [run[case] for run in times[True]],
                   [run[case] for run in times[False]]) for case in times[True][0]]
    for case in ("window", "send_receive"):
        plain, cairn = (instructions_per_message(case, yes) for yes in (False, True))
        if plain is not None:
            results.append(row("overhead", f"{case}_8B_self", "instructions_per_message",
                               "instructions", [cairn], [plain]))
    return results


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
            results.append(row("units", one["name"], "time", one["time_unit"],
                               [one["cpu_time"]]))
    return results


BENCHMARKS = {"overhead": overhead, "checkpoint": checkpoint, "units": units}


def print_table(results):
    heading = ("benchmark", "case", "metric", "value", "unit", "baseline", "ratio")
    table = [heading] + [tuple(str(result.get(name, "")) for name in heading)
                         for result in results]
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
