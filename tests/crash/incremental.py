"""Incremental checkpoints of a program whose state changes in every way, under random kills.

Whatever is killed when: every epoch that is there restores bit for bit what was (the program checks
a digest of its whole state), also after `cairn compact` and after old epochs have been removed, and
the program ends with the result of an undisturbed run. All choices follow from --seed.
"""

import argparse
import json
import random
import sys
from pathlib import Path

from harness import Failure, Workspace, cairn, check, check_verified, epochs, listed

STEPS = 60
TRACKERS = ["auto", "pagemap", "hash", "off"]


def program(seed, *more):
    return ["changing_state", "--seed", str(seed), "--steps", str(STEPS), *more]


def check_epoch(workspace, directory, seed, epoch, ranks, when):
    outcome = workspace.run(ranks, program(seed, "--check"), DIR=directory, INTERVAL="off",
                            RESTART=epoch)
    check(outcome.status == 0 and outcome.continued and outcome.continued[1] == epoch,
          f"{when}: epoch {epoch}: {outcome.describe()}")


def trial(workspace, number, seed, options, dice, tally):
    reference = workspace.reference(options.ranks, program(seed, "--pace-us", "2000"))
    directory = workspace.directory(f"checkpoints-{number}")
    settings = {"INCREMENTAL": TRACKERS[number % len(TRACKERS)],
                "COMPRESS": dice.choice(["none", "none", "lz4", "zstd"]),
                "PROTOCOL": dice.choice(["chandy-lamport", "chandy-lamport", "coordinated"]),
                "LAYOUT": dice.choice(["shared", "shared", "group:2"]),
                "FULL_EVERY": dice.choice(["auto", "3", "9"]), "KEEP": dice.choice([2, 5, 30])}
    print(f"trial {number}: seed {seed} {settings}", flush=True)
    for start in range(100):
        interval = f"every:{dice.choice([1, 2, 3])}"
        job = workspace.start(options.ranks, program(seed, "--pace-us", "2000"), DIR=directory,
                              INTERVAL=interval, **settings)
        killed = False
        if start < options.kills and not job.wait(dice.uniform(0.2, 1.0) * reference.seconds):
            killed = job.kill(dice.choice([*range(options.ranks), None]))
        outcome = job.finish()
        tally["kills"] += killed
        when = f"trial {number}, start {start} ({interval}, killed: {killed})"
        check_verified(directory, when)
        there = epochs(directory)
        for entry in listed(directory).values() if there else ():
            tally[entry["kind"]] += 1
        for epoch in dice.sample(there, min(2, len(there))):
            check_epoch(workspace, directory, seed, epoch, options.ranks, when)
        if there and dice.random() < 0.5:
            epoch = dice.choice(there)
            done = cairn("compact", directory, epoch)
            check(done.returncode == 0, f"{when}: compact {epoch}: {done.stderr}")
            check_verified(directory, f"{when}, epoch {epoch} compacted")
            check(listed(directory)[epoch]["kind"] == "full", f"{when}: {epoch} is not full")
            for epoch in {epoch, there[-1]}:
                check_epoch(workspace, directory, seed, epoch, options.ranks, f"{when}, compacted")
        if not killed:
            check(outcome.status == 0, f"{when}: {outcome.describe()}")
            check(outcome.result == reference.result,
                  f"{when}: result {outcome.result} instead of {reference.result}")
            break
    check_commands(workspace, directory)


def check_commands(workspace, directory):
    """export makes a complete file of any epoch; diff finds what differs."""
    there = epochs(directory)
    out = Path(workspace.directory("exported.h5"))
    done = cairn("export", directory, there[-1], out)
    check(done.returncode == 0 and out.stat().st_size > 0, f"export: {done.stderr}")
    done = cairn("export", directory, there[-1], out)
    check(done.returncode == 2 and "exists already" in done.stderr, f"export twice: {done.stderr}")
    out.unlink()
    same = cairn("diff", directory, there[-1], there[-1])
    check("have the same data" in same.stdout, f"diff: {same.stdout}{same.stderr}")
    for epoch, entry in list(listed(directory).items())[-4:]:
        if entry["kind"] == "delta":
            check_listed_changes(directory, epoch, entry)
    if len(there) > 1:
        differ = cairn("diff", directory, there[-2], there[-1], "--json")
        names = [entry["name"] for entry in json.loads(differ.stdout)["entries"]]
        check({"step", "digest"} <= set(names), f"diff: {names}")


def check_listed_changes(directory, epoch, entry):
    """What a delta says it holds, against the data of both epochs."""
    shown = json.loads(cairn("show", directory, epoch, "--json").stdout)
    held = {"deleted": set(shown["deleted"])}
    for one in shown["entries"]:
        held.setdefault(one["change"], set()).add(one["name"])
    differ = cairn("diff", directory, entry["parent"], epoch, "--json")
    seen = {}
    for one in json.loads(differ.stdout)["entries"]:
        seen.setdefault(one["change"], set()).add(one["name"])
    for kind in ("added", "deleted"):
        check(held.get(kind, set()) == seen.get(kind, set()), f"epoch {epoch}: {held} and {seen}")
    # Writing the same again is a change to the page trackers.
    check(seen["modified"] <= held["modified"], f"epoch {epoch}: {held} and {seen}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--kills", type=int, default=3, help="per trial")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"incremental: seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    tally = {"kills": 0, "full": 0, "delta": 0}
    try:
        with Workspace() as workspace:
            for number in range(options.trials):
                trial(workspace, number, options.seed + number, options, dice, tally)
            check(tally["delta"] > 0, "no epoch was a delta")
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    print(f"ok: {tally}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
