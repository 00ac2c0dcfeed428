"""Firefox and WebKit, driven by the few moves that a visit is made of.

Firefox speaks WebDriver BiDi over a socket, WebKit (Safari's engine, in WebKitGTK's MiniBrowser) plain WebDriver over
HTTP; neither needs Playwright's own builds. Chromium is driven by Playwright in the other files.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from websockets.sync.client import connect

__all__ = ["ENGINES", "Engine", "Firefox", "PageChanged", "WebKit"]

# The code points of WebDriver for keys that are no characters.
KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Enter": "\ue006"}
WIDTH, HEIGHT = 1280, 800
STARTING_S = 60.0
ANSWER_S = 60.0


class PageChanged(Exception):
    """The page was left while the script ran in it: ask again."""


class Engine:
    """A browser with windows, one of which the moves go to."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]  # any of them
    helpers: ClassVar[tuple[str, ...]] = ()  # all of them
    remedy: ClassVar[str]

    @classmethod
    def program(cls) -> str | None:
        """Return the path of an installed one, None where it or something that it needs is missing."""
        if not all(map(shutil.which, cls.helpers)):
            return None
        return next(filter(None, map(shutil.which, cls.programs)), None)

    def __init__(self) -> None:
        self.closing = ExitStack()
        self.complaints: list[str] = []

    def goto(self, url: str) -> None:
        raise NotImplementedError

    def reload(self) -> None:
        raise NotImplementedError

    def run(self, body: str) -> Any:
        """Return what an async function with this body returns in the page."""
        raise NotImplementedError

    def perform(self, actions: list[dict[str, Any]]) -> None:
        raise NotImplementedError

    def capture(self) -> str:
        """Return the window's picture, a PNG in base64."""
        raise NotImplementedError

    def open_window(self) -> str:
        """Open another window, which the moves then go to; return its handle."""
        raise NotImplementedError

    def turn_to(self, window: str) -> None:
        raise NotImplementedError

    @property
    def window(self) -> str:
        raise NotImplementedError

    def close_window(self, window: str) -> None:
        raise NotImplementedError

    # --- the same in both

    def wait(self, condition: str, *, longest: float = 30.0) -> Any:
        """Wait until an expression is true in the page, whatever page that is by then; return its value."""
        end = time.monotonic() + longest
        while True:
            try:
                if value := self.run(f"return {condition}"):
                    return value
            except PageChanged:
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: never true: {condition}")
            time.sleep(0.02)

    def press(self, key: str) -> None:
        steps = [{"type": kind, "value": KEYS.get(key, key)} for kind in ("keyDown", "keyUp")]
        self.perform([{"type": "key", "id": "keyboard", "actions": steps}])

    def click(self, selector: str) -> None:
        x, y = self.run(
            f"""const one = document.querySelector({json.dumps(selector)});
            for (let before = ""; ; ) {{
                one.scrollIntoView({{ block: "nearest" }});
                await new Promise(requestAnimationFrame);
                const {{ x, y, width, height }} = one.getBoundingClientRect();
                const now = `${{x}} ${{y}}`;
                if (now === before && document.readyState === "complete") return [x + width / 2, y + height / 2];
                before = now;
            }}"""
        )
        move = {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0}
        steps = [move, *({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))]
        self.perform([{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}])

    def screenshot(self) -> np.ndarray:
        """Return the window's pixels, (height, width, 3), once what is on the page has been painted."""
        # WebKit's picture can be a frame late.
        self.run("for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame); return true")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(self.capture()))).convert("RGB"))

    def close(self) -> None:
        self.closing.close()

    def start(self, command: list[str], **environment: str) -> Path:
        """Start a program in a home of its own; return its log. Closing ends it, and whatever it started."""
        home = self.folder()
        log = home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"HOME": str(home)} | environment,
            )
        self.closing.callback(_end, process)
        return log

    def folder(self) -> Path:
        path = tempfile.mkdtemp()
        self.closing.callback(shutil.rmtree, path, ignore_errors=True)
        return Path(path)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and its children: drivers and displays survive whoever started them."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _eventually(look: Callable[[], Any], *, what: str) -> Any:
    end = time.monotonic() + STARTING_S
    while not (value := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not start within {STARTING_S:.0f} s")
        time.sleep(0.05)
    return value


class Firefox(Engine):
    """Firefox without a display, over WebDriver BiDi."""

    name = "firefox"
    programs = ("firefox-esr", "firefox")
    remedy = "install it with `apt-get install firefox-esr`"

    # No traffic of its own: tests talk to their own server alone.
    PREFERENCES: ClassVar[dict[str, Any]] = {
        "app.normandy.enabled": False,
        "app.update.enabled": False,
        "browser.safebrowsing.downloads.remote.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "services.settings.server": "data:,#remote-settings-dummy/v1",
        "toolkit.telemetry.enabled": False,
    }

    def __init__(self, program: str) -> None:
        super().__init__()
        profile = self.folder()
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in self.PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        alone = ["--headless", "--no-remote", "--profile", str(profile)]
        log = self.start([program, *alone, "--remote-debugging-port", "0", "about:blank"])
        found = _eventually(lambda: re.search(r"BiDi listening on (ws://\S+)", log.read_text()), what="Firefox")
        self._numbers = itertools.count(1)
        self._socket = self.closing.enter_context(connect(f"{found[1]}/session", max_size=None, proxy=None))
        self._call("session.new", capabilities={})
        self._call("session.subscribe", events=["log.entryAdded"])
        first = self._call("browsingContext.getTree")["contexts"][0]["context"]
        self.open_window()  # the first has no focus: Enter would press no button there
        self.close_window(first)

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=ANSWER_S))).get("id") != number:
            entry = answer.get("params", {})
            if answer.get("method") == "log.entryAdded" and entry["level"] in ("warn", "error"):
                self.complaints.append(entry["text"])
        if answer["type"] == "error":
            raise PageChanged(f"{answer['error']}: {answer['message']}")
        return answer["result"]

    def _set_size(self) -> None:
        self._call("browsingContext.setViewport", context=self._window, viewport={"width": WIDTH, "height": HEIGHT})

    def goto(self, url: str) -> None:
        self._call("browsingContext.navigate", context=self._window, url=url, wait="complete")

    def reload(self) -> None:
        self._call("browsingContext.reload", context=self._window, wait="complete")

    def run(self, body: str) -> Any:
        code = f"(async () => JSON.stringify(await (async () => {{ {body} }})()) ?? 'null')()"
        target = {"context": self._window}
        answer = self._call("script.evaluate", expression=code, target=target, awaitPromise=True)
        if answer["type"] == "exception":
            raise PageChanged(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def perform(self, actions: list[dict[str, Any]]) -> None:
        self._call("input.performActions", context=self._window, actions=actions)

    def capture(self) -> str:
        return self._call("browsingContext.captureScreenshot", context=self._window)["data"]

    def open_window(self) -> str:
        self._window = self._call("browsingContext.create", type="tab")["context"]
        self._set_size()
        return self._window

    def turn_to(self, window: str) -> None:
        self._window = window
        self._call("browsingContext.activate", context=window)

    @property
    def window(self) -> str:
        return self._window

    def close_window(self, window: str) -> None:
        self._call("browsingContext.close", context=window)


class WebKit(Engine):
    """WebKitGTK's MiniBrowser on a virtual display, over WebDriver."""

    name = "webkit"
    programs = ("WebKitWebDriver",)
    helpers = ("Xvfb",)
    remedy = "install it with `apt-get install webkit2gtk-driver xvfb`"

    BROWSERS = "*-linux-gnu*/webkit2gtk-4.*/MiniBrowser"

    def __init__(self, program: str) -> None:
        super().__init__()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # Not to be set: WEBKIT_DISABLE_DMABUF_RENDERER, WEBKIT_DISABLE_COMPOSITING_MODE; screenshots hang with either.
        environment = {
            "DISPLAY": self._display(),
            "GDK_BACKEND": "x11",
            "GDK_SCALE": "1",
            "GSETTINGS_BACKEND": "memory",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "NO_AT_BRIDGE": "1",
        }
        self.start([program, f"--port={port}", "--host=127.0.0.1"], **environment)
        self._base = f"http://127.0.0.1:{port}"
        _eventually(self._is_up, what=program)
        browser = max(Path("/usr/lib").glob(self.BROWSERS))  # the newest, where there are several
        options = {"binary": str(browser), "args": ["--automation"]}
        wanted = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}
        session = self._call("POST", "/session", capabilities={"alwaysMatch": wanted})
        self._base += f"/session/{session['sessionId']}"
        self.closing.callback(self._call, "DELETE", "")
        self._set_size()

    def _display(self) -> str:
        """Start a virtual display; return its name."""
        number, writing = os.pipe()
        screen = ["-screen", "0", f"{2 * WIDTH}x{2 * HEIGHT}x24", "-nolisten", "tcp"]
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), *screen],
            pass_fds=[writing],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        self.closing.callback(_end, process)
        os.close(writing)
        with os.fdopen(number) as chosen:
            return f":{chosen.readline().strip()}"

    def _is_up(self) -> bool:
        try:
            return bool(self._call("GET", "/status"))
        except OSError:
            return False

    def _call(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise PageChanged(json.load(error)["value"]["message"]) from None

    def _set_size(self) -> None:
        inner_width, inner_height = self.run("return [innerWidth, innerHeight]")
        outer = self._call("GET", "/window/rect")
        size = {"width": outer["width"] + WIDTH - inner_width, "height": outer["height"] + HEIGHT - inner_height}
        self._call("POST", "/window/rect", **size)
        self.wait(f"innerWidth === {WIDTH} && innerHeight === {HEIGHT}")

    def goto(self, url: str) -> None:
        self._call("POST", "/url", url=url)

    def reload(self) -> None:
        self._call("POST", "/refresh")

    def run(self, body: str) -> Any:
        code = f"""const done = arguments[arguments.length - 1];
            const run = async () => {{ {body} }};
            run().then((one) => done(JSON.stringify(one) ?? "null"), (error) => done("!" + error));"""
        text = self._call("POST", "/execute/async", script=code, args=[])
        if text.startswith("!"):
            raise PageChanged(text)
        return json.loads(text)

    def perform(self, actions: list[dict[str, Any]]) -> None:
        self._call("POST", "/actions", actions=actions)

    def capture(self) -> str:
        return self._call("GET", "/screenshot")

    def open_window(self) -> str:
        # A tab would be hidden for ever: nothing is painted there.
        window = self._call("POST", "/window/new", type="window")["handle"]
        self.turn_to(window)
        self._set_size()
        return window

    def turn_to(self, window: str) -> None:
        self._call("POST", "/window", handle=window)

    @property
    def window(self) -> str:
        return self._call("GET", "/window")

    def close_window(self, window: str) -> None:
        self.turn_to(window)
        self._call("DELETE", "/window")


ENGINES: tuple[type[Engine], ...] = (Firefox, WebKit)


@contextmanager
def started(kind: type[Engine], program: str) -> Iterator[Engine]:
    engine = kind(program)
    try:
        yield engine
    finally:
        engine.close()
