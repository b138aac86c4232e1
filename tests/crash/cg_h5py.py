"""A field that is spread over a 3-D grid of ranks is one HDF5 dataset, and what conjugate gradients
say of their fields holds there: r = b - A x."""

import sys

import h5py
import numpy

from harness import Failure, Workspace, check, check_verified, epochs

SHAPE = NZ, NY, NX = 13, 9, 11
RANKS = 8  # 2 x 2 x 2, of unequal blocks
SEED = 7
PROGRAM = ["cg", "--nz", str(NZ), "--ny", str(NY), "--nx", str(NX), "--seed", str(SEED)]


def scramble(z):
    z = z + numpy.uint64(0x9e3779b97f4a7c15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
    return z ^ (z >> numpy.uint64(31))


def source(solve):
    """The b of cg.cpp."""
    seed = scramble(numpy.array([SEED], dtype=numpy.uint64))
    cells = numpy.arange(NZ * NY * NX, dtype=numpy.uint64)
    random = scramble(scramble(seed + numpy.uint64(solve)) + cells) >> numpy.uint64(11)
    return (random.astype(numpy.float64) * 2.0**-53 - 0.5).reshape(SHAPE)


def laplacian(x):
    """A x, with zeros outside."""
    wide = numpy.pad(x, 1)
    neighbours = (wide[:-2, 1:-1, 1:-1] + wide[2:, 1:-1, 1:-1] + wide[1:-1, :-2, 1:-1] +
                  wide[1:-1, 2:, 1:-1] + wide[1:-1, 1:-1, :-2] + wide[1:-1, 1:-1, 2:])
    return 6 * x - neighbours


def check_epoch(directory, epoch):
    """Returns the solve and the iteration that the epoch was taken in."""
    with h5py.File(directory / f"epoch-{epoch:08}" / "state.h5", "r") as file:
        fields = {name: file[f"/regions/{name}"][...] for name in ("x", "r", "p")}
        values = {name: file[f"/regions/{name}"][...] for name in ("solve", "iteration", "rho")}
    for name, field in fields.items():
        check(field.shape == SHAPE, f"the shape of {name} is {field.shape}")
        check(field.dtype == numpy.float64, f"the type of {name} is {field.dtype}")
    for name, value in values.items():
        check(value.shape == (RANKS,) and len(set(value)) == 1, f"{name} is {value}")
    solve, iteration, rho = (values[name][0] for name in ("solve", "iteration", "rho"))

    x, r = fields["x"], fields["r"]
    error = abs(source(int(solve)) - laplacian(x) - r).max()
    check(error < 1e-12, f"epoch {epoch}: r differs from b - A x by {error}")
    check(abs((r * r).sum() - rho) <= 1e-12 * rho, f"epoch {epoch}: rho is {rho}")
    # Orthogonal to the last direction, which is in p = r + beta p.
    check(abs((r * fields["p"]).sum() - rho) <= 1e-9 * rho, f"epoch {epoch}: r·p is not r·r")
    return solve, iteration


def compare(workspace):
    directory = workspace.directory("checkpoints")
    outcome = workspace.run(RANKS, PROGRAM, DIR=directory, INTERVAL="every:47", KEEP=100)
    check(outcome.status == 0, outcome.describe())
    check_verified(directory, "after the run")
    there = epochs(directory)
    check(len(there) > 3, f"epochs {there}: {outcome.describe()}")
    places = [check_epoch(directory, epoch) for epoch in there]
    check(places == sorted(set(places)) and places[-1][0] > 0, f"epochs are at {places}")


def main():
    try:
        with Workspace() as workspace:
            compare(workspace)
    except Failure as failure:
        print(f"cg_h5py: FAIL: {failure}")
        return 1
    print("cg_h5py: PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
