#!/usr/bin/env python3
"""Checks that dependencies point one way, base <- {mpi_bindings, io} <- runtime <- apps, and that
public headers include nothing that a user's program should not have to have.

usage: layering.py SOURCE_DIRECTORY     exit status 1 and one line for each wrong #include"""

import pathlib
import re
import sys

# layer: the layers whose headers it may include
MAY_INCLUDE = {
    "base": {"base"},
    "mpi_bindings": {"base", "mpi_bindings"},
    "io": {"base", "io"},
    "runtime": {"base", "mpi_bindings", "io", "runtime"},
    "apps": {"base", "mpi_bindings", "io", "runtime", "apps"},
}
PUBLIC = ("base/include", "runtime/include")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CPP_HEADER = re.compile(r"[a-z_0-9]+$")  # <vector>
C_HEADER = {"stddef.h", "stdint.h"}


def includes(path):
    """(line number, bracket, header) of each #include of a file."""
    text = path.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(2)) + 1, match[1], match[2])
            for match in INCLUDE.finditer(text)]


def layer_of(root, path, bracket, header):
    """The layer that a header belongs to; None for headers of other software."""
    if header.startswith("cairn/"):
        for public in PUBLIC:
            if (root / public / header).is_file():
                return public.split("/")[0]
    if bracket == '"':
        if (path.parent / header).is_file():
            return path.relative_to(root).parts[0]
        first = header.split("/")[0]
        return first if first in MAY_INCLUDE else None
    return None


def problem(root, path, bracket, header):
    """What is wrong with an #include, or None."""
    layer = path.relative_to(root).parts[0]
    target = layer_of(root, path, bracket, header)
    if target is not None and target not in MAY_INCLUDE[layer]:
        return f"{layer} must not depend on {target}"

    public = next((p for p in PUBLIC if path.is_relative_to(root / p)), None)
    if public is None:
        return None
    if bracket == '"':
        return "a public header includes public headers only, as <cairn/…>"
    if header.startswith("cairn/"):
        return None if target else "no such public header"
    if header.startswith("boost/"):
        return None if path.name == "serialize.hpp" else "Boost only in <cairn/serialize.hpp>"
    if header == "mpi.h" or header in C_HEADER or CPP_HEADER.match(header):
        return None
    return "a public header includes the standard library, MPI and <cairn/…> only"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = sorted(path for layer in MAY_INCLUDE for path in (root / layer).rglob("*")
                   if path.suffix in {".cpp", ".hpp", ".c", ".h"})
    checked = 0
    failures = []
    for path in files:
        for line, bracket, header in includes(path):
            checked += 1
            wrong = problem(root, path, bracket, header)
            if wrong:
                failures.append(f"{path.relative_to(root)}:{line}: {header}: {wrong}")
    if not checked:
        failures.append(f"{root}: no sources found")
    for failure in failures:
        print(failure)
    print(f"{checked} includes in {len(files)} files checked, {len(failures)} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
