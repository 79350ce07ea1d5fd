"""Files are written whole or not at all: on full disks, over links, into devices, and after kills."""

import contextlib
import os
import pathlib
import resource
import socket
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from sesr_jax.data import write_image
from sesr_jax.errors import InputError
from sesr_jax.files import check_writable, replace_file, replace_files, write_file

_NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@contextlib.contextmanager
def _limit_file_size(size):
    """Refuses bytes beyond `size` in every file, which a full disk does and needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _run(script, *arguments, **options):
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], **options)


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replace_file(path) as temporary:
        temporary.write_text("1")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "1"
    write_file(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_file(path, b"")
    assert path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_stood_there(tmp_path):
    paths = tmp_path / "a.txt", tmp_path / "b.txt"
    for path in paths:
        path.write_text("old")

    def fail_half_way() -> None:
        with replace_files(*paths) as temporary:
            temporary[0].write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    with pytest.raises(InputError, match=r"a\.txt"), replace_files(*paths) as temporary:
        temporary[0].write_text("new")  # and nothing for the other one
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == list(paths)


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".png", ".tif", ".webp"])
def test_a_full_disk_keeps_the_image_that_was_there(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    with _limit_file_size(2048), pytest.raises(InputError, match=rf"a\{suffix} "):
        write_image(path, _NOISE)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_image(path, _NOISE)
    assert path.stat().st_size > 2048


def test_what_the_file_system_refuses_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the name of a socket is short
        listening.bind("socket")
        for path in ("file/x", "", "socket", "a" * 300):
            for check in (check_writable, lambda path: write_file(path, "")):
                with pytest.raises(InputError, match=f"{path} can't"):
                    check(tmp_path / path)
    assert stat.S_ISSOCK((tmp_path / "socket").lstat().st_mode)


@pytest.fixture
def full_device(tmp_path):
    """A device that is always full: a node of its own, since it may be lost."""
    path = tmp_path / "full"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        path.open("rb").close()
    except OSError:
        if os.geteuid() == 0 or not os.path.exists("/dev/full"):
            pytest.skip("needs /dev/full, or the right to make such a node")
        return pathlib.Path("/dev/full")
    return path


def test_a_device_is_written_into_and_stays(full_device):
    check_writable(full_device)
    with pytest.raises(InputError, match="full "):
        write_file(full_device, "text")
    with pytest.raises(InputError, match="full "), replace_file(full_device) as temporary:
        temporary.write_text("text")
    assert stat.S_ISCHR(full_device.lstat().st_mode)


def test_a_pipe_is_written_into_and_stays(tmp_path):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    check_writable(path)
    found = []
    for write in (
        lambda: write_file(path, b"x" * 100_000),
        lambda: _replace(path, b"x" * 100_000),
    ):
        reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
        reader.start()
        write()
        reader.join()
    assert found == [b"x" * 100_000] * 2
    assert stat.S_ISFIFO(path.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


def _replace(path, data):
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc/self/fd")
def test_the_output_of_the_process_is_not_replaced(tmp_path):
    """By a link as /dev/stdout is; that one could be lost."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    script = (
        "import sys; from sesr_jax.files import write_file\n"
        "print('before'); write_file(sys.argv[1], 'between\\n'); print('after')"
    )
    with (tmp_path / "out.txt").open("wb") as out:
        _run(script, tmp_path / "stdout", check=True, stdout=out)
    assert (tmp_path / "out.txt").read_text().split() == ["before", "between", "after"]
    piped = _run(script, tmp_path / "stdout", check=True, stdout=subprocess.PIPE, text=True)
    assert piped.stdout.split() == ["before", "between", "after"]
    assert (tmp_path / "stdout").is_symlink()


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("there", "missing"):
        (tmp_path / f"{name}.link").symlink_to(f"folder/{name}.txt")
    (tmp_path / "folder" / "there.txt").write_text("old")
    for name in ("there", "missing"):
        link = tmp_path / f"{name}.link"
        write_file(link, "new")
        assert link.is_symlink()
        assert (tmp_path / "folder" / f"{name}.txt").read_text() == "new"
    assert len(list((tmp_path / "folder").iterdir())) == 2
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="/a "):
        write_file(tmp_path / "a", "new")


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    """Neither under the name that a writer could have by its process, nor under the one that it takes."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".a.{os.getpid()}.txt").symlink_to(victim)
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    (tmp_path / f".sesr-{'0' * 16}.txt").symlink_to(victim)
    with pytest.raises(InputError, match=r"a\.txt"):
        write_file(tmp_path / "a.txt", "newer")
    assert victim.read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_the_longest_name_is_written(tmp_path):
    for name in ("a" * 251 + ".txt", "a." + "b" * 253):
        write_file(tmp_path / name, "1")
        assert (tmp_path / name).read_text() == "1"


def test_permissions_stay(tmp_path):
    path = tmp_path / "a.txt"
    mask = os.umask(0o027)
    try:
        write_file(path, "1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_file(path, "2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(mask)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o400)
    with pytest.raises(InputError, match=r"a\.txt"):
        write_file(path, "new")
    assert path.read_text() == "old"


_BEGIN = """
import sys
from sesr_jax.files import replace_file
with replace_file(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    sys.stdin.read()
"""
_WRITE = "import sys; from sesr_jax.files import write_file; write_file(sys.argv[1], 'whole')"


def test_what_a_killed_writer_leaves_goes_and_what_a_living_one_has_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    command = [sys.executable, "-c", _BEGIN, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(command, **pipes) as killed,
        subprocess.Popen(command, **pipes) as living,
    ):
        names = [pathlib.Path(each.stdout.readline().strip()) for each in (killed, living)]
        assert all(name.parent == tmp_path and name.exists() for name in names)
        killed.kill()
        killed.wait()
        assert path.read_text() == "old"
        _run(_WRITE, tmp_path / "b.txt", check=True)
        assert [name.exists() for name in names] == [False, True]
        living.stdin.close()
    assert path.read_text() == "half"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]
