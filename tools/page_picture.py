"""Draws docs/images/page.png anew: the live page of the main job after a quarter of a minute, as a browser shows it.

    python tools/page_picture.py [OUT]

Needs the extra `dev` and Chromium, like the page's tests. What is on the picture really ran: nothing is made up.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "page.png"
RUN = ["run", "--num-sensors", "5", "--every", "0.2", "--csv-file", "bourn.csv", "--log-to-plot", "--for", "60"]
SEEN_S = 15  # that the charts have something to show
WIDTH = 1280


def draw(out: Path) -> None:
    """Run the main job in a folder of its own, and keep what its page looks like."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("page_picture: chromium is not on PATH (apt install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "bourn.cli", *RUN]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as job, sync_playwright() as play:
            assert job.stdout is not None
            url = next(found[1] for line in job.stdout if (found := re.match(r"page +(\S+)", line)))
            window = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
            page = window.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
            page.goto(url)
            time.sleep(SEEN_S)
            page.screenshot(path=str(out), full_page=True)
            window.close()
            job.terminate()


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
