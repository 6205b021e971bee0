"""Chromium without a window, driven by its own protocol over a pair of pipes: what a page does when a reader opens it.

A page is a file: what it asks for beyond itself, what it says on the console and what axe-core finds in it are kept.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSER, AXE = "VERL_EXT_BROWSER", "VERL_EXT_AXE"
"""In the environment: the browser's program, and the file axe.min.js."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
NO_BROWSER = f"no browser: apt-get install chromium, or name one in {BROWSER}"
NO_AXE = f"no axe-core: npm install --no-save axe-core in the checkout, or name its axe.min.js in {AXE}"
_SECONDS = 120.0  # for one answer; a machine may be busy
_BETWEEN_DOCUMENTS = ("navigated or closed", "context was destroyed", "default execution context")
"""Of what Chromium says where an expression's document goes, or its next is not there yet."""
_OWN = ("data:", "blob:", "about:")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # of root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def find_browser() -> str | None:
    """The program of a browser, or None where there is none."""
    return os.environ.get(BROWSER) or next((found for name in NAMES if (found := shutil.which(name))), None)


def find_axe() -> Path | None:
    """axe-core's one file, or None where there is none."""
    here = Path(__file__).resolve().parents[1] / "node_modules"
    places = [Path(folder) / "axe-core/axe.min.js" for folder in (here, "/usr/lib/node_modules")]
    named = os.environ.get(AXE)
    return Path(named) if named else next((place for place in places if place.is_file()), None)


class Page:
    """One tab.

    Attributes:
        errors: What the console has as an error or a warning, and exceptions that nothing caught.
        requests: Every address that the page asked for beyond its own file, data and blobs.
    """

    def __init__(self, connection: "_Connection", target: str, downloads: Path) -> None:
        self._connection, self._target, self._downloads = connection, target, downloads
        session = connection.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self._session: str = session
        self._address = ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._is_loaded = False
        connection.listeners[session] = self._hear
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol and its result."""
        return self._connection.send(method, parameters, self._session)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until all of it is there."""
        self._address = path.resolve().as_uri()
        self._is_loaded = False
        self.send("Page.navigate", url=self._address + fragment)
        self._connection.read_until(lambda: self._is_loaded)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise.

        Raises:
            RuntimeError: It threw.
        """
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(_text_of(found["exceptionDetails"]))
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until an expression is true; a page that is just loading itself again is asked once it is there.

        Raises:
            TimeoutError: It does not become so.
        """
        until = time.monotonic() + _SECONDS
        while not self._is_true(expression):
            if time.monotonic() > until:
                raise TimeoutError(f"{expression} is not true after {_SECONDS:.0f} seconds.")
            time.sleep(0.05)

    def _is_true(self, expression: str) -> bool:
        try:
            return bool(self.evaluate(f"Boolean({expression})"))
        except RuntimeError as error:
            if any(words in str(error) for words in _BETWEEN_DOCUMENTS):
                return False
            raise

    def resize(self, width: int, height: int = 900) -> None:
        """As wide as a reader's window, in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key of the keyboard, by its name in the DOM and its number."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def screenshot(self, path: Path, *, is_whole: bool = False) -> None:
        """A PNG of what is in the window, or of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        path.write_bytes(b64decode(shot["data"]))

    def downloaded(self, name: str) -> bytes:
        """A file that the page has offered, once it is whole."""
        path, until = self._downloads / name, time.monotonic() + _SECONDS
        while not path.is_file():
            if time.monotonic() > until:
                raise TimeoutError(f"{name} was not downloaded. There is {sorted(os.listdir(self._downloads))}.")
            time.sleep(0.05)
        return path.read_bytes()

    def accessibility_faults(self, axe: Path) -> list[str]:
        """What axe-core finds serious or critical, with the elements."""
        self.evaluate(axe.read_text(encoding="utf-8") + "\n;0")
        found = json.loads(self.evaluate("axe.run().then(found => JSON.stringify(found.violations))"))
        return [
            f"{each['id']}: {each['help']}: {', '.join(str(node['target'][0]) for node in each['nodes'])[:600]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        del self._connection.listeners[self._session]
        self._connection.send("Target.closeTarget", {"targetId": self._target})

    def _hear(self, method: str, of: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._is_loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_text_of(of["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in of["args"]))
        elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{of['entry']['text']} {of['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            address = of["request"]["url"].partition("#")[0]
            if not address.startswith(_OWN) and address != self._address:
                self.requests.append(address)


class Browser:
    """A browser that is running."""

    def __init__(self, connection: "_Connection", folder: Path) -> None:
        self._connection, self._folder = connection, folder

    @contextmanager
    def page(self, width: int = 1280, height: int = 900) -> Iterator[Page]:
        """A new tab, closed at the end; what it downloads is its own."""
        downloads = self._folder / f"downloads-{len(os.listdir(self._folder))}"
        downloads.mkdir()
        self._connection.send(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads.resolve())}
        )
        target = self._connection.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        page = Page(self._connection, target, downloads)
        page.resize(width, height)
        try:
            yield page
        finally:
            page.close()


@contextmanager
def browser_in(folder: Path) -> Iterator[Browser]:
    """Start the browser that ``find_browser`` names, with its profile and downloads below a folder; end it."""
    program = find_browser()
    assert program is not None, NO_BROWSER
    theirs_in, ours_out = (_high(end) for end in os.pipe())
    ours_in, theirs_out = (_high(end) for end in os.pipe())
    command = [program, *_OPTIONS, f"--user-data-dir={folder / 'profile'}"]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    connection = _Connection(ours_in, ours_out)
    try:
        yield Browser(connection, folder)
        connection.send("Browser.close", {})
        process.wait(_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours_in)
        os.close(ours_out)


class _Connection:
    """Messages of JSON that end in a zero byte; events go to who listens to their session."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = b""
        self._number = 0
        self._results: dict[int, dict[str, Any]] = {}
        self.listeners: dict[str, Any] = {}

    def send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._writing, data) :]
        self.read_until(lambda: number in self._results)
        result = self._results.pop(number)
        if "error" in result:
            raise RuntimeError(f"{method}: {result['error']['message']}")
        return result["result"]

    def read_until(self, is_enough: Any) -> None:
        """Take messages in until there is what is waited for."""
        until = time.monotonic() + _SECONDS
        while not is_enough():
            if not select.select([self._reading], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"The browser has said nothing for {_SECONDS:.0f} seconds.")
            data = os.read(self._reading, 1 << 20)
            if not data:
                raise EOFError("The browser has ended.")
            *messages, self._buffer = (self._buffer + data).split(b"\0")
            for text in messages:
                self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._results[message["id"]] = message
        elif message.get("sessionId") in self.listeners:
            self.listeners[message["sessionId"]](message["method"], message["params"])


def _high(descriptor: int) -> int:
    """The same pipe at a number that the browser's own two do not take."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy


def _text_of(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])
