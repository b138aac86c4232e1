#!/usr/bin/env python3
"""Installs Cairn into a temporary directory, moves it, and builds and runs programs against it:
C and C++, with find_package and with pkg-config. Each runs twice; the second run restarts."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CONSUMER = pathlib.Path(__file__).resolve().parent / "consumer"


def run(*command, cwd=None, env=None):
    """Runs a command; its output, or the end of this test."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print(" ".join(str(word) for word in command))
        print(done.stdout)
        sys.exit(f"FAIL: {command[0]} ended with status {done.returncode}")
    return done.stdout


def check_program(mpiexec, program, directory):
    """Two runs on two ranks: the second one continues from the first one's checkpoint."""
    directory.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    for expected in ("step 1 epoch 1", "step 2 epoch 2"):
        output = run(mpiexec, "--oversubscribe", "-n", "2", program, cwd=directory, env=env)
        if expected not in output.splitlines():
            sys.exit(f"FAIL: {program.name} printed {output!r}, not {expected!r}")


def check_headers(args, include, work):
    """Every installed header compiles on its own, without a warning."""
    headers = sorted((include / "cairn").iterdir())
    for header in headers:
        compilers = [(args.mpicxx, ".cpp", ["-std=c++20", "-DOMPI_SKIP_MPICXX"])]
        if header.suffix == ".h":
            compilers.append((args.mpicc, ".c", ["-std=c11", "-Wpedantic"]))
        for compiler, suffix, flags in compilers:
            source = work / f"{header.stem}{suffix}"
            source.write_text(f"#include <cairn/{header.name}>\n")
            run(compiler, *flags, "-Wall", "-Wextra", "-Werror", f"-I{include}", "-fsyntax-only",
                source)
    return len(headers)


def main():
    parser = argparse.ArgumentParser()
    for name in ("source", "build"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    for name in ("mpicc", "mpicxx", "mpiexec"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="cairn-install-") as temporary:
        work = pathlib.Path(temporary)
        run("cmake", "--install", args.build, "--prefix", work / "first")
        prefix = work / "moved"
        shutil.move(work / "first", prefix)

        print(f"{check_headers(args, prefix / 'include', work)} headers compile on their own")

        for language in ("C", "CXX", "BOTH"):
            build = work / f"cmake-{language}"
            run("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", build, f"-DLANGUAGE={language}",
                f"-DCMAKE_PREFIX_PATH={prefix}")
            run("cmake", "--build", build)
            if language == "BOTH":
                continue
            program = build / ("consumer_c" if language == "C" else "consumer_cpp")
            check_program(args.mpiexec, program, work / f"run-cmake-{language}")
            print(f"find_package, {language}: builds, runs, restarts")

        pc_directory = next(prefix.rglob("cairn.pc")).parent
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc_directory))
        flags = run("pkg-config", "--cflags", "--libs", "cairn", env=env).split()
        libdir = run("pkg-config", "--variable=libdir", "cairn", env=env).strip()
        flags.append(f"-Wl,-rpath,{libdir}")
        for compiler, source, extra in (
                (args.mpicc, "consumer.c", ["-std=c11"]),
                (args.mpicxx, "consumer.cpp", ["-std=c++20", "-lboost_serialization"])):
            program = work / f"pkg-config-{source.replace('.', '-')}"
            run(compiler, CONSUMER / source, *extra, *flags, "-o", program)
            check_program(args.mpiexec, program, work / f"run-{program.name}")
            print(f"pkg-config, {source}: builds, runs, restarts")

        command = prefix / "bin" / "cairn"
        if command.exists():
            listed = run(command, "list", work / "run-cmake-C" / "cairn")
            if not listed.strip():
                sys.exit("FAIL: the installed cairn command lists nothing")
            print("the installed cairn command lists the checkpoints")

        run("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", work / "sub", "-DLANGUAGE=BOTH",
            f"-DCAIRN_SOURCE={args.source}")
        print("add_subdirectory: configures")
    print("PASS")


if __name__ == "__main__":
    main()
