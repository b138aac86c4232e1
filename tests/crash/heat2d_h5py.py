"""A checkpoint is ordinary HDF5: h5py, h5ls and h5dump read it, and its field is the program's."""

import subprocess
import sys

import h5py
import numpy

from harness import Failure, Workspace, check, check_verified, epochs

NY, NX, STEPS = 50, 70, 60
PROGRAM = ["heat2d", "--ny", str(NY), "--nx", str(NX), "--steps", str(STEPS)]


def compare(workspace):
    directory = workspace.directory("checkpoints")
    dump = workspace.path / "field.raw"
    outcome = workspace.run(3, [*PROGRAM, "--dump", str(dump)], DIR=directory, INTERVAL="every:30")
    check(outcome.status == 0, outcome.describe())
    check(epochs(directory) == [1, 2], f"epochs {epochs(directory)}: {outcome.describe()}")
    check_verified(directory, "after the run")

    state = directory / "epoch-00000002" / "state.h5"
    field = numpy.fromfile(dump, dtype="<f8").reshape(NY, NX)
    with h5py.File(state, "r") as file:
        stored = file["/regions/temperature"]
        check(stored.shape == (NY, NX), f"its shape is {stored.shape}")
        check(stored.dtype == numpy.float64, f"its type is {stored.dtype}")
        check(stored[...].tobytes() == field.tobytes(), "the fields differ")
        steps = file["/regions/step"][...]
        check(list(steps) == [STEPS] * 3, f"step is {steps}")
    for tool in (["h5ls", "-r"], ["h5dump", "-H"]):
        done = subprocess.run([*tool, state], capture_output=True, text=True, timeout=60,
                              check=False)
        check(done.returncode == 0, f"{tool[0]}: exit status {done.returncode}\n{done.stderr}")
        check("temperature" in done.stdout, f"{tool[0]} does not show it:\n{done.stdout}")


def main():
    try:
        with Workspace() as workspace:
            compare(workspace)
    except Failure as failure:
        print(f"heat2d_h5py: FAIL: {failure}")
        return 1
    print("heat2d_h5py: PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
