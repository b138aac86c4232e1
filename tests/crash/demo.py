"""Shows Cairn at work: an MPI program is killed, started again, and ends with the same result."""

import argparse
import random
import shlex
import sys
import time

from harness import Failure, Workspace, cairn, check, check_verified, epochs, listed

PROGRAM = ["ring", "--tokens", "8", "--hops", "1000", "--pace-us", "300"]
INTERVAL_SECONDS = 0.4


def say(text=""):
    print(text, flush=True)


def wait_for_epoch(job, directory, dice):
    """Returns at a random moment after the first checkpoint."""
    deadline = time.monotonic() + 60
    while not epochs(directory):
        if job.wait(0.05):
            raise Failure(f"the program ended without a checkpoint: {job.finish().describe()}")
        check(time.monotonic() < deadline, "no checkpoint within 60 s")
    time.sleep(dice.uniform(0, 1.2))


def demo(workspace, ranks, dice):
    command = f"mpirun -n {ranks} {shlex.join(PROGRAM)}"
    say(f"{ranks} MPI processes pass {8 * ranks} messages around. All of them are always on their "
        "way:\na checkpoint that missed one message, or saved one twice, would change the result.")

    say(f"\n1. An undisturbed run, without checkpoints\n   $ {command}")
    reference = workspace.reference(ranks, PROGRAM)
    say(f"   result: {reference.result}   ({reference.seconds:.1f} s)")

    victim = dice.randrange(ranks)
    directory = workspace.directory("cairn")
    settings = {"DIR": directory, "INTERVAL": INTERVAL_SECONDS}
    say(f"\n2. The same with a checkpoint every {INTERVAL_SECONDS} s, and rank {victim} is killed"
        f"\n   $ CAIRN_INTERVAL={INTERVAL_SECONDS} {command}")
    job = workspace.start(ranks, PROGRAM, **settings)
    wait_for_epoch(job, directory, dice)
    hit = job.kill(victim)
    killed = job.finish()
    check(hit and killed.status != 0, f"the program outlived the kill: {killed.describe()}")
    say(f"   kill -9 after {killed.seconds:.1f} s: the job is dead, mpirun's exit status is "
        f"{killed.status}")
    say(f"   $ cairn list {directory.name}")
    for line in cairn("list", directory).stdout.rstrip().splitlines():
        say(f"   {line}")
    check_verified(directory, "after the kill")
    say(f"   `cairn verify {directory.name}` finds all of it good")
    there = listed(directory)

    say(f"\n3. The same command again\n   $ CAIRN_INTERVAL={INTERVAL_SECONDS} {command}")
    again = workspace.run(ranks, PROGRAM, **settings)
    check(again.status == 0, again.describe())
    check(again.continued is not None, f"it did not continue: {again.describe()}")
    step, epoch = again.continued
    check(epoch in there, f"it continues from epoch {epoch}, and {sorted(there)} were there")
    in_flight = there[epoch]["messages_in_flight"]
    say(f"   ring: continues at step {step} (epoch {epoch})")
    say(f"   {in_flight} messages were in flight at that safe point; they came with the checkpoint")
    say(f"   result: {again.result}   ({again.seconds:.1f} s)")
    check(in_flight > 0, "no message was in flight")
    check(again.result == reference.result, "the results differ")
    say("\nThe two results are equal.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    try:
        with Workspace() as workspace:
            demo(workspace, options.ranks, random.Random(options.seed))
    except Failure as failure:
        say(f"\n{failure}\ndemo: FAIL (seed {options.seed})")
        return 1
    say(f"demo: PASS (seed {options.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
