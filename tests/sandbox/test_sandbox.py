"""Runtimes in processes of their own: their death, their refusals and their arrays arrive here."""

import os
import signal

import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.sandbox import Sandbox, SandboxError

_RUNTIME = """
import os, signal
import numpy as np

class Runtime:
    def __init__(self, *, number, content=b"", refuse=False):
        print("hello")            # must not be taken for an answer
        os.write(1, b"\\1" * 64)
        if refuse: raise ValueError("no\\nsuch file")
        self.number, self.content = number, bytes(content)
    def add(self, x, times=1):
        return [x + self.number * times, {"length": len(self.content), "dtype": x.dtype.str}]
    def fail(self): return 1 / 0
    def die(self, how): os.kill(os.getpid(), how)
    def leave(self): os._exit(0)
    def fill(self): return len(np.ones(1 << 60, np.uint8))
    def pid(self): return os.getpid()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "strange_runtime.py").write_text(_RUNTIME, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "strange_runtime"


def test_calls_carry_arrays_there_and_back_and_refusals_are_sentences(module):
    sandbox = Sandbox(module, "x.tflite", number=2, content=b"\0\xff" * 70_000)
    for x in (
        np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        np.zeros((0, 4), np.int8),
        np.array(3.0),
        np.arange(1 << 18, dtype=np.uint8)[::2].astype(np.int16),
        np.arange(12).reshape(3, 4).T,
    ):
        y, facts = sandbox.call("add", x, times=3)
        np.testing.assert_array_equal(y, x + 6)
        assert facts == {"length": 140_000, "dtype": x.dtype.str}
    for method, reason in (("fail", "division"), ("missing", "missing"), ("fill", "allocate")):
        with pytest.raises(SandboxError, match=reason):
            sandbox.call(method)
    assert sandbox.call("add", np.zeros(1))[0] == 2  # it is alive
    with pytest.raises(SandboxError, match=r"^no such file$"):
        Sandbox(module, "x.tflite", number=2, refuse=True)


def test_the_death_of_the_process_is_a_sentence_and_leaves_nothing(module):
    for method, args, said in (
        ("die", (int(signal.SIGSEGV),), "SIGSEGV"),
        ("leave", (), "status 0"),
    ):
        sandbox = Sandbox(module, "x.tflite", number=2)
        pid = sandbox.call("pid")
        with pytest.raises(InputError, match=rf"^x\.tflite .*\({said}\)"):
            sandbox.call(method, *args)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    living = Sandbox(module, "x.tflite", number=2)
    pid = living.call("pid")
    del living
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
