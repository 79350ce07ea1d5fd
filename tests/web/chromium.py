"""Chromium without a window, driven over a pipe by the protocol of its developer tools."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "chrome-headless-shell", "google-chrome")


def find_chromium():
    """Returns where Chromium is, or skips the test."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    pytest.skip(f"needs one of {', '.join(_NAMES)}")
    return None


class Tab:
    """A page in Chromium."""

    def __init__(self, send, receive):
        self._send, self._receive, self._count, self._session = send, receive, 0, None
        self.log, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Calls a method of the protocol, and returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        while (answer := json.loads(self._receive())).get("id") != self._count:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.log.append(answer["params"])
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"])
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, address):
        """Goes to an address."""
        self.call("Page.navigate", url=address)

    def evaluate(self, expression):
        """Returns the value of an expression of JavaScript, which may be a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression, seconds=300):
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, (expression, self.log)
            time.sleep(0.05)

    def choose_file(self, selector, path):
        """Puts a file into an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[os.fspath(path)], nodeId=node)

    def save_downloads(self, folder):
        """Names the folder in which the page saves files."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=os.fspath(folder))

    def wait_for_file(self, path, seconds=60):
        """Waits until a file was saved."""
        end = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < end, (path, self.log)
            time.sleep(0.05)

    def set_width(self, width, height=900):
        """Gives the window a size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def shoot(self, path):
        """Writes what the whole page looks like to a PNG file."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def open_tab(*flags):
    """Starts Chromium with a profile of its own, and gives the block a page."""
    to_read, from_us = os.pipe()
    from_it, to_write = os.pipe()
    command = [
        *(find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--remote-debugging-pipe", *flags),
    ]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        shell = f'exec "$@" --user-data-dir={profile} 3<&{to_read} 4>&{to_write}'
        browser = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            with os.fdopen(from_us, "wb", buffering=0) as send, os.fdopen(from_it, "rb") as answers:
                yield Tab(send.write, lambda: _read_message(answers))
        finally:
            browser.terminate()
            browser.wait(60)


def _read_message(answers):
    message = bytearray()
    while (octet := answers.read(1)) != b"\0":
        assert octet, "Chromium has ended"
        message += octet
    return bytes(message)
