"""The browser that draws charts as pictures."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    """Path of the first that there is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
