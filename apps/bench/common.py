"""What the benchmarks share: where the programs are, how MPI is run, and a row of results."""

import os
import pathlib
import statistics
import subprocess
import sys

BIN = pathlib.Path(os.environ.get("BUILD_BIN", "build/release/bin")).resolve()
LIBCAIRN = BIN.parent / "lib" / "libcairn.so"


def mpirun_command(ranks, *command):
    """Runs on `ranks` ranks, one core each if there are enough, and then waiting busily: as on a
    machine that one has to oneself, and as Open MPI does by itself."""
    enough = enough_cores(ranks)
    mpi = ["mpirun", "--oversubscribe", "-n", ranks, "--bind-to", "core" if enough else "none",
           "--mca", "mpi_yield_when_idle", 0 if enough else 1]
    return [str(word) for word in (*mpi, *command)]


def enough_cores(ranks):
    return len(os.sched_getaffinity(0)) >= ranks


def how_ranks_run(ranks):
    """The choice that mpirun_command makes, for people."""
    return (f"{ranks} ranks, each bound to a core, busy waiting (mpi_yield_when_idle=0)"
            if enough_cores(ranks) else
            f"{ranks} ranks on too few cores, not bound, yielding (mpi_yield_when_idle=1): "
            "times say little")


def environment(**more):
    """The environment without settings of Cairn's, except those named."""
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith("CAIRN_")}
    return dict(variables, **more)


def mpirun(ranks, *command, cwd=None, env=None):
    """Standard output and error of an MPI program; ends this one if it fails."""
    done = subprocess.run(mpirun_command(ranks, *command), cwd=cwd, text=True,
                          env=environment(**(env or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)} ended with status "
                 f"{done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def rounded(value, digits=4):
    return float(f"{value:.{digits}g}")


def row(benchmark, case, metric, unit, values, baselines=None, target=None):
    """One result from the rounds' values, rounded to what they are worth."""
    result = {"benchmark": benchmark, "case": case, "metric": metric,
              "value": rounded(statistics.median(values)), "unit": unit}
    if baselines:
        ratios = [value / baseline for value, baseline in zip(values, baselines)]
        result["baseline"] = rounded(statistics.median(baselines))
        result["ratio"] = round(statistics.median(ratios), 3)
        if len(ratios) > 1:
            first, _, third = statistics.quantiles(ratios, n=4)
            result["quartiles"] = [round(first, 3), round(third, 3)]
    if target is not None:
        result["target"] = target
        result["met"] = result["ratio"] <= target
    return result
