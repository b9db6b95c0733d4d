"""Pages in a headless Chromium: what becomes of them when their scripts have run."""

import functools
import html
import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-headless-shell")
# A page around the page: it waits until the script there is ready, does what a reader would do,
# and leaves what it finds as text. Errors and refusals of both are in the browser's log.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe src="{name}" style="border:0;width:{width}px;height:2000px"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  const page = frame.contentDocument, view = frame.contentWindow;
  const one = (selector) => page.querySelector(selector);
  const all = (selector) => [...page.querySelectorAll(selector)];
  const key = (element, name) => element.dispatchEvent(
    new view.KeyboardEvent("keydown", {{key: name, bubbles: true, cancelable: true}}));
  const point = (element, x, y) => {{
    const box = element.getBoundingClientRect();
    const at = {{clientX: box.left + x * box.width, clientY: box.top + y * box.height}};
    element.dispatchEvent(new view.PointerEvent("pointermove", {{...at, bubbles: true}}));
  }};
  const found = (() => {{ {script} }})();
  document.querySelector("pre").textContent = JSON.stringify(found);
}});
</script>"""


@functools.cache
def browser():
    """Return the path of a Chromium; without one, the test skips."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed: apt-get install chromium")
    return found


def run(path, *arguments, width=1200, height=2000):
    """Load a file; return what the browser prints, and its log."""
    command = [
        browser(),
        "--headless",
        # As root, in containers; the page is ours.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
        f"--user-data-dir={path.parent / 'profile'}",
        f"--window-size={width},{height}",
        *arguments,
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def ask(path, script, width=1200):
    """Run a function's body beside a page; return what it returns, and the browser's complaints."""
    around = path.parent / f"around-{path.name}"
    around.write_text(HARNESS.format(name=path.name, width=width, script=script), encoding="utf-8")
    text, log = run(around, "--dump-dom", width=width + 20)
    found = re.search("<pre>(.+?)</pre>", text, re.DOTALL)
    assert found, log
    return json.loads(html.unescape(found[1])), log
