"""The harness takes a hanging mpirun for Open MPI's own only when that is all that is left."""

import unittest

from harness import Failure, Job, Workspace

SAYS = 'echo "PMIX ERROR: UNREACHABLE in file x" >&2; '
RANK = "OMPI_COMM_WORLD_RANK=0 sleep 60 & "  # what is killed
OTHER_RANK = "OMPI_COMM_WORLD_RANK=1 sleep 60 & "
HANG = "sleep 60 & wait; sleep 60"


class LauncherHangs(unittest.TestCase):
    """Shell scripts in mpirun's place."""

    def run_and_kill(self, script):
        with Workspace() as workspace:
            job = Job(["bash", "-c", script], workspace.environment({}), workspace.path)
            workspace.jobs.append(job)
            while not job.kill(0):
                self.assertFalse(job.wait(0.05))
            return job.finish(timeout=3, launcher_timeout=0.3)

    def test_is_recognised(self):
        outcome = self.run_and_kill(SAYS + RANK + HANG)
        self.assertTrue(outcome.launcher_hung)

    def test_not_while_a_rank_lives(self):
        with self.assertRaisesRegex(Failure, "still running"):
            self.run_and_kill(SAYS + RANK + OTHER_RANK + HANG)

    def test_not_without_its_message(self):
        with self.assertRaisesRegex(Failure, "still running"):
            self.run_and_kill(RANK + HANG)

    def test_not_when_it_ends(self):
        outcome = self.run_and_kill(SAYS + RANK + "wait; exit 9")
        self.assertFalse(outcome.launcher_hung)
        self.assertEqual(outcome.status, 9)


if __name__ == "__main__":
    unittest.main()
