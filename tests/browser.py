"""A headless Chromium for tests of pages, driven through the WebDriver protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# Names under which distributions install the browser.
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# A page may load nothing, and the browser itself is kept from calling home.
_FLAGS = (
    "--headless",
    "--no-sandbox",  # as root, which CI is
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def program(variable: str, names: tuple[str, ...]) -> str:
    """Path of a program: the variable's, or the first of `names` on ``PATH``."""
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    assert found, f"no {names[0]}: `make setup-test` installs it; {variable} names one elsewhere"
    return found


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile, which logs what pages say on their console."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("CHROMIUM", _CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(program("CHROMEDRIVER", ("chromedriver",))))
    try:
        yield driver
    finally:
        driver.quit()
