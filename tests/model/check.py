"""Checks the model of the channel protocol with spin: as it is, it has no error within any of the
bounds below, searched exhaustively; without any one of its rules, spin finds one. That takes 80 s
of one processor and 0.4 GB."""

import argparse
import dataclasses
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "cairn.pml"
MEMORY_MIB = 1900
DEPTH = 10000  # steps; the longest run has some hundred
RUN_TIMEOUT_SECONDS = 600
BOUNDS = ["S01", "S02", "S10", "S12", "S20", "S21", "R0", "R1", "R2", "P0", "P1", "P2"]


class Failure(Exception):
    """A check that did not hold."""


@dataclasses.dataclass
class Case:
    bounds: str         # "S10=1 R0=1", see cairn.pml; what is not named is 0
    without: str = ""   # a rule that is removed
    finds: str = ""     # words of what spin must say then
    cycles: bool = False  # look for runs without an end instead

    @property
    def name(self):
        return self.without or ("no endless run" if self.cycles else "all rules")

    def definitions(self):
        values = {"STARTER": "ANY"} | {name: "0" for name in BOUNDS}
        values |= dict(word.split("=") for word in self.bounds.split())
        without = [f"-DWITHOUT_{self.without}"] if self.without else []
        return [f"-D{name}={value}" for name, value in values.items()] + without


# The whole model, for every program within the bounds, and every moment and order of the cuts.
SOUND = [
    Case("STARTER=0 S10=1 R0=1"),               # an epoch that one rank alone starts …
    Case("STARTER=1 S10=1 R0=1"),               # … reaches all the others
    Case("S10=2 R0=2 P0=1"),                    # a probe
    Case("S01=1 S12=1 R1=1 R2=1"),              # a rank that receives and sends
    Case("S10=1 S12=1 S20=1 R0=1 R2=1"),        # a message that another one may overtake
    Case("S10=2 S20=1 R0=2"),                   # two sources, and receives from any
]
ENDLESS = Case("S10=1 S20=1 R0=1", cycles=True)

# What spin prints of the assertion that fails.
ORPHAN = "sent_in>"
ORDER = "next"
FIRST = "k==1"
RECORDED = "recorded"
LOST = "q_len(store"
PROBED = "probed_number"
STUCK = "invalid end state"
# Each within the bounds of a sound one: so what the rule is for does happen there.
BROKEN = [
    Case("S10=1 R0=1", "COLOURS", ORPHAN),
    Case("S10=1 R0=2", "M1_NEWEST_FIRST", FIRST),
    Case("S10=2 R0=1", "M2_COMPLETE", LOST),
    Case("S10=2 R0=2", "M2_OVERLAP", FIRST),
    Case("S10=2 R0=1", "M3_UNKNOWN", LOST),
    Case("S10=1 R0=1", "M4_STORE", LOST),
    Case("S10=2 R0=1", "M5_COMPLETE", ORDER),
    Case("S10=2 R0=2", "M5_FIRST", FIRST),
    Case("S10=1 R0=2 P0=1", "M6_CLAIMED", PROBED),
    Case("S10=1 R0=1", "M7_COUNT", RECORDED),
    Case("S10=1 R0=1", "M8_STOP", ORPHAN),
    Case("S10=1 R0=1", "C1_ONCE", STUCK),
    Case("S10=1 R0=1", "C2_LEFTOVER", RECORDED),
    Case("S10=1 R0=1", "E1_CLOSED", ORPHAN),
    Case("STARTER=0", "E2_FLOOD", STUCK),
    Case("S10=2 R0=1", "E3_EPOCH", ORDER),
    Case("S10=2 R0=1", "BARRIER", RECORDED),
]


def run(command, directory):
    """What it prints; it must end well."""
    limit = (MEMORY_MIB + 200) << 20
    done = subprocess.run(
        command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=RUN_TIMEOUT_SECONDS, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def search(case, directory):
    """Spin's report on one case. Deterministic: depth first, no bit-state hashing."""
    quick = bool(case.without)  # it ends soon: not worth an optimising compiler's time
    kind = ["-DNP"] if case.cycles else ["-DSAFETY"]
    run(["spin", "-a", *case.definitions(), str(MODEL)], directory)
    run([os.environ.get("CC", "cc"), "-w", "-O0" if quick else "-O1", *kind, "-DCOLLAPSE",
         "-DSEPQS", f"-DMEMLIM={MEMORY_MIB}", "-o", "pan", "pan.c"], directory)
    return run(["./pan", f"-m{DEPTH}", *(["-l"] if case.cycles else [])], directory)


def number(pattern, report):
    found = re.search(pattern, report)
    if not found:
        raise Failure(f"spin's report has no {pattern}:\n{report}")
    return float(found[1])


def judge(case, report):
    """Raises a Failure when spin did not find what it must, or did not look everywhere."""
    errors = number(r"errors: (\d+)", report)
    said = re.findall(r"pan:\d+: (.*)", report)
    if case.without:
        if errors == 0:
            raise Failure("spin finds nothing wrong without this rule")
        if not any(case.finds in line for line in said):
            raise Failure(f"spin finds something else: {said}")
        return
    if errors != 0 or said:
        raise Failure(f"{said}\n{report}")
    for trouble in ("max search depth too small", "out of memory", "Search not completed"):
        if trouble in report:
            raise Failure(f"not searched exhaustively: {trouble}")


def check(case):
    """Prints a line about it; true when all is well."""
    begin = time.monotonic()
    what = "ok"
    try:
        with tempfile.TemporaryDirectory(prefix="cairn-model-") as directory:
            report = search(case, directory)
            judge(case, report)
        states = number(r"(\d+) states, stored", report)
        memory = number(r"([\d.]+)\s+total actual memory", report)
        size = f"{states:>8.0f} states {memory:>5.0f} MB"
    except (Failure, subprocess.TimeoutExpired) as failure:
        size, what = "", f"FAILED: {failure}"
    print(f"{case.name:<16} {case.bounds:<34} {size} {time.monotonic() - begin:>5.0f} s  {what}",
          flush=True)
    return what == "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="*", metavar="RULE",
                        help="only without these (default: all)")
    options = parser.parse_args()

    cases = [*SOUND, ENDLESS, *BROKEN]
    if options.rules:
        cases = [case for case in BROKEN if case.without in options.rules]
    good = all([check(case) for case in cases]) and cases
    print(f"model: {'PASS' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
