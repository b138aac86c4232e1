"""What `cairn` prints and returns for good, damaged and missing directories."""
import json
import os
import subprocess
import sys
import tempfile

BIN = os.environ["BUILD_BIN"]
MPIRUN = ["mpirun", "--oversubscribe", "-n", "2"]


def cairn(*arguments, directory=None):
    environment = {k: v for k, v in os.environ.items() if k != "CAIRN_DIR"}
    if directory:
        environment["CAIRN_DIR"] = directory
    return subprocess.run([BIN + "/cairn", *arguments], capture_output=True, text=True,
                          env=environment)


def check(result, status, *texts):
    out = result.stdout + result.stderr
    assert result.returncode == status, (result.args, result.returncode, out)
    for text in texts:
        assert text in out, (result.args, text, out)
    return result.stdout


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_usage(root):
    check(cairn("--help"), 0, "list", "show", "verify")
    check(cairn("--version"), 0, "cairn 0.")
    check(cairn(), 2)
    check(cairn("frobnicate"), 2)
    check(cairn("list", root + "/none"), 2, "there is no directory")
    check(cairn("verify", root, "7"), 2, "there is no epoch 7")
    check(cairn("verify", root, "seven"), 2, "is not an epoch")
    check(cairn("list", root), 0, "no checkpoints in")
    assert json.loads(check(cairn("list", root, "--json"), 0)) == []


def test_good(store):
    out = check(cairn("list", store), 0, "EPOCH", "coordinated")
    assert len(out.splitlines()) == 4
    fields = json.loads(check(cairn("list", "--json", directory=store), 0))
    assert [item["epoch"] for item in fields] == [1, 2, 3]
    assert set(fields[0]) == {"epoch", "kind", "parent", "protocol", "ranks", "bytes",
                              "changed_bytes",
                              "messages_in_flight", "committed_at", "blocked_seconds"}
    assert fields[0]["parent"] is None and fields[0]["ranks"] == 2
    assert fields[0]["bytes"] == os.path.getsize(store + "/epoch-00000001/state.h5")
    check(cairn("show", store), 0, "epoch 3", "columns", "[700 x 1200]", "6 messages in flight")
    shown = json.loads(check(cairn("show", store, "1", "--json"), 0))
    assert shown["epoch"] == 1 and shown["entries"][0]["name"] == "int8"
    assert shown["channels"][0]["messages"] == 3
    check(cairn("verify", store), 0, "epoch 1: good", "epoch 3: good")


def test_damaged(store):
    size = os.path.getsize(store + "/epoch-00000003/state.h5")
    flip(store + "/epoch-00000003/state.h5", size // 2)
    check(cairn("verify", store), 1, "epoch 3: BAD", "is damaged", "will use epoch 2")
    check(cairn("verify", store, "1", "2"), 0)
    check(cairn("verify", "1", directory=store), 0, "epoch 1: good")
    report = json.loads(check(cairn("verify", store, "--json"), 1))
    assert not report["good"] and report["restart_epoch"] == 2
    assert [item["good"] for item in report["epochs"]] == [True, True, False]
    flip(store + "/epoch-00000002/COMMIT.json", 100)
    items = json.loads(check(cairn("list", store, "--json"), 0))
    assert "COMMIT.json" in items[1]["damaged"] and "damaged" not in items[0]
    assert set(items[1]) == set(items[0]) | {"damaged"}
    check(cairn("list", store), 0, "damaged")
    check(cairn("show", store, "2"), 1, "COMMIT.json")
    flip(store + "/epoch-00000001/COMMIT.json", 100)
    check(cairn("verify", store), 1, "No epoch is good")
    check(cairn("show", store + "/"), 0, "epoch 3")  # its COMMIT is whole


def main():
    with tempfile.TemporaryDirectory() as root:
        test_usage(root)
        store = root + "/cairn"
        subprocess.run([*MPIRUN, BIN + "/io_sample_writer", store], check=True, timeout=60)
        test_good(store)
        test_damaged(store)
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
