"""Kills programs at random moments and starts them again, until they have been killed N times.

Each program must end with the result of an undisturbed run, continue from the newest epoch, and
`cairn verify` must accept all that a kill leaves. The choices follow from --seed.
"""

import argparse
import dataclasses
import random
import sys
import time

from harness import (Failure, Workspace, check, check_verified, epochs, history)

# Programs with sleeps that make a run some 3 s long, so that kills meet all of its phases.
PROGRAMS = {
    "heat2d": ["heat2d", "--nx", "256", "--ny", "256", "--steps", "1500", "--pace-us", "700"],
    "ring": ["ring", "--tokens", "6", "--hops", "500", "--pace-us", "300"],
    "particles": ["particles", "--particles", "800", "--steps", "1500", "--pace-us", "700"],
    "cg": ["cg", "--nx", "32", "--ny", "30", "--nz", "28", "--solves", "12", "--pace-us", "700"],
    "taskfarm": ["taskfarm", "--tasks", "4000", "--pace-us", "500"],
    # Requests are pending at every safe point: registered, and posted again by the program.
    "pending": ["standing_receives", "--steps", "1500", "--pace-us", "700"],
    "repost": ["standing_receives", "--steps", "1500", "--pace-us", "700", "--repost"],
}
BETWEEN_EXCHANGES = {"heat2d", "cg"}  # their messages are all received at a safe point
MARKER_CUT = {"taskfarm"}  # has no safe point that is the same on all ranks
BOTH_CUTS = {"ring"}  # neighbours that wait for each other's next step can't cut at different ones
INTERVALS = ["0.05", "0.3", "every:40", "every:333"]
# Protocol and cut; a job may change them at a restart.
PROTOCOLS = [("chandy-lamport", "aligned"), ("chandy-lamport", "aligned"),
             ("chandy-lamport", "marker"), ("coordinated", "aligned")]


@dataclasses.dataclass
class Tally:
    """One program's line in the table."""

    program: str
    runs: int = 0
    kills: int = 0
    continued: int = 0
    finished: int = 0
    commits: int = 0
    in_flight: int = 0  # commits that have messages in flight
    aborts: int = 0
    hung: int = 0  # kills within MPI_Init after which mpirun hung
    seconds: float = 0
    verdict: str = "ok"

    def add_history(self, directory):
        commits = history(directory, "commit")
        self.commits += len(commits)
        self.in_flight += sum(1 for line in commits if line.get("messages_in_flight", 0) > 0)
        self.aborts += len(history(directory, "abort"))


def one_run(workspace, directory, tally, options, dice, longest):
    """Starts the program once, and kills it if a kill is left and the program lives long enough.
    Returns the outcome, and whether it was killed."""
    before = epochs(directory)
    delay = dice.uniform(0.05, 0.8) * longest
    victim = dice.choice([*range(options.ranks), None])
    interval = dice.choice(INTERVALS)
    cuts = {"aligned"}
    if tally.program in MARKER_CUT:
        cuts = {"marker"}
    elif tally.program in BOTH_CUTS:
        cuts = {"aligned", "marker"}
    protocol, cut = dice.choice([one for one in PROTOCOLS if one[1] in cuts])
    job = workspace.start(options.ranks, PROGRAMS[tally.program], DIR=directory, INTERVAL=interval,
                          PROTOCOL=protocol, CUT=cut)
    tally.runs += 1
    killed = False
    if tally.kills < options.kills and not job.wait(delay):
        killed = job.kill(victim)
    outcome = job.finish()
    killed = killed and outcome.status != 0  # it can end in the moment of the kill
    tally.hung += outcome.launcher_hung
    tally.kills += killed and not outcome.launcher_hung

    when = f"run {tally.runs} ({protocol}, {cut}, interval {interval}, kill of {victim} at {delay:.2f} s: {killed})"
    if outcome.launcher_hung:
        print(f"soak: {tally.program}: {when}: mpirun hung after a kill within MPI_Init, as it does "
              "without Cairn; ended, and not counted as a kill", flush=True)
        check(tally.hung <= 2 + options.kills // 10, "mpirun hangs too often after a kill")
    if outcome.continued:
        tally.continued += 1
        check(before and outcome.continued[1] == before[-1],
              f"{when}: continues from epoch {outcome.continued[1]}, and {before} were there")
    after = epochs(directory)
    check(not before or (after and after[-1] >= before[-1]),
          f"{when}: epochs {before}, now {after}")
    check_verified(directory, f"after {when}")
    if not killed:
        check(outcome.status == 0, f"{when}: {outcome.describe()}")
        check(outcome.continued or not before, f"{when}: fresh start, and {before} were there")
    return outcome, killed


def soak(workspace, tally, options, dice):
    reference = workspace.reference(options.ranks, PROGRAMS[tally.program])
    directory = workspace.directory(f"{tally.program}-0")
    while True:
        outcome, killed = one_run(workspace, directory, tally, options, dice, reference.seconds)
        if killed:
            continue
        tally.finished += 1
        check(outcome.result == reference.result,
              f"run {tally.runs}: result {outcome.result} instead of {reference.result}")
        tally.add_history(directory)
        if tally.kills >= options.kills:
            return
        check(tally.finished <= 4 * options.kills + 10, "runs keep ending before they are killed")
        workspace.directory(directory.name)  # removes it
        directory = workspace.directory(f"{tally.program}-{tally.finished}")


def print_table(tallies):
    print(f"\n{'program':<10} {'runs':>5} {'kills':>6} {'continued':>10} {'finished':>9} "
          f"{'commits':>8} {'in flight':>10} {'aborts':>7} {'hung':>5} {'seconds':>8}  verdict")
    for t in tallies:
        share = f"{100 * t.in_flight / t.commits:.0f} %" if t.commits else "-"
        print(f"{t.program:<10} {t.runs:>5} {t.kills:>6} {t.continued:>10} {t.finished:>9} "
              f"{t.commits:>8} {share:>10} {t.aborts:>7} {t.hung:>5} {t.seconds:>8.1f}  {t.verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="APP", help=f"of {', '.join(PROGRAMS)}")
    parser.add_argument("--kills", type=int, default=10, help="per program (default 10)")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    for name in options.programs:
        if name not in PROGRAMS:
            parser.error(f"unknown program {name}: one of {', '.join(PROGRAMS)}")

    print(f"soak: seed {options.seed}", flush=True)
    tallies = []
    for name in options.programs or PROGRAMS:
        tally = Tally(name)
        tallies.append(tally)
        start = time.monotonic()
        try:
            with Workspace() as workspace:
                soak(workspace, tally, options, random.Random(f"{options.seed} {name}"))
                if name not in BETWEEN_EXCHANGES:
                    check(tally.in_flight > 0, "no checkpoint had a message in flight")
        except Failure as failure:
            tally.verdict = "FAILED"
            print(f"soak: {name}: {failure}", flush=True)
        tally.seconds = time.monotonic() - start

    print_table(tallies)
    good = all(tally.verdict == "ok" for tally in tallies)
    kills = sum(tally.kills for tally in tallies)
    print(f"soak: {'PASS' if good else 'FAIL'} after {kills} kills (seed {options.seed})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
