"""Files are replaced in one step, and one process at a time writes to a file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from looksay import JobError, atomic_files
from looksay.atomic_files import lock, replacing, sweep

HOLD = """
import sys, pathlib
from looksay.atomic_files import lock
with lock(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_only_without_an_error(tmp_path: Path, durable: bool) -> None:
    file = tmp_path / "new" / "file.txt"
    with replacing(file, durable=durable) as temporary:
        temporary.write_text("old")
        assert not file.exists()
    with pytest.raises(ZeroDivisionError), replacing(file, durable=durable) as temporary:  # noqa: PT012
        temporary.write_text("new")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_temporary_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / ".some.host-4711-file.txt").touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"file.txt", ".hidden"}


def test_another_process_is_refused_until_the_lock_is_released_or_its_process_ends(tmp_path: Path) -> None:
    file = tmp_path / "captions.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(JobError, match=r"captions\.jsonl is being written by another looksay; wait for it"), lock(file):
        pass
    process.kill()
    process.communicate()
    with lock(file):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_lock_file_that_was_removed_after_it_was_opened_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder may release the lock between the opening of the file and its locking, and a third lock a new file."""
    file, lock_file = tmp_path / "captions.jsonl", tmp_path / ".captions.jsonl.lock"
    lock_descriptor, calls = atomic_files._lock_descriptor, []

    def lock_removed_file(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) <= 2:
            lock_file.unlink()
        if len(calls) == 2:
            lock_file.touch()
        return lock_descriptor(descriptor)

    monkeypatch.setattr(atomic_files, "_lock_descriptor", lock_removed_file)
    with lock(file):
        assert len(calls) == 3
        monkeypatch.setattr(atomic_files, "_lock_descriptor", lock_descriptor)
        with pytest.raises(JobError), lock(file):
            pass
    assert not lock_file.exists()


def test_hidden_files_of_long_names_fit_into_the_file_system(tmp_path: Path) -> None:
    for name in ("n" * 255, "日" * 85):
        with lock(tmp_path / name), replacing(tmp_path / name) as temporary:
            temporary.write_text("new")
            assert all(len(os.fsencode(path.name)) <= 143 for path in tmp_path.iterdir())  # the limit of eCryptfs
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="has no fcntl")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_no_other_process(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock(tmp_path / "captions.jsonl") as is_locked:
        assert not is_locked
    assert list(tmp_path.iterdir()) == []


def test_only_one_of_many_threads_holds_a_lock(tmp_path: Path) -> None:
    holders, most, successes = 0, 0, 0
    guard, deadline = threading.Lock(), time.monotonic() + 1

    def work() -> None:
        nonlocal holders, most, successes
        while time.monotonic() < deadline:
            try:
                with lock(tmp_path / "file"):
                    with guard:
                        holders += 1
                        most = max(most, holders)
                        successes += 1
                    time.sleep(0)
                    with guard:
                        holders -= 1
            except JobError:
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert successes > 8
    assert most == 1
