"""Opens pages that the package writes in Chromium, where it is installed."""

import contextlib
import json
import shutil

import pytest

needs_browser = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("chromedriver")),
    reason="needs chromium and chromedriver",
)


@contextlib.contextmanager
def browser(profile):
    """A driver of Chromium without a window, with a folder for its profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    arguments = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync "
        "disable-background-networking disable-component-update"
    )
    for argument in (*arguments.split(), f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = Service(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        # What the browser itself shows at first is no part of a page.
        driver.get("about:blank")
        driver.get_log("performance")
        yield driver
    finally:
        driver.quit()


def show(driver, page, width):
    """Opens a page so wide; nothing of it is wider."""
    # A window of Chromium cannot be as narrow as a phone; its page can.
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.get(page)
    wide = "return [document.documentElement.scrollWidth, innerWidth]"
    document, window = driver.execute_script(wide)
    assert document <= window == width


def loads_nothing(driver, page):
    """The console has no error, and nothing but the page was requested."""
    console = driver.get_log("browser")
    assert not [entry for entry in console if entry["level"] == "SEVERE"]
    messages = [
        json.loads(e["message"])["message"] for e in driver.get_log("performance")
    ]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert page in urls
    assert [url for url in urls if not url.startswith(("file://", "data:"))] == []
