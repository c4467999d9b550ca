"""The Nacos console in headless Chromium: what a person sees, and does with mouse and keys."""

import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Locator, Page, async_playwright, expect

from devtools.nacos.server import PASSWORD, USER

# The first page of a new server loads its scripts and compiles them.
_LIMIT = 30_000  # milliseconds
_ARGUMENTS = [
    "--disable-gpu",
    # A browser at its first start would look for updates; the tests need nothing from outside.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class NacosConsole:
    """One browser window at the console. Each step leaves a picture in `pictures`."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self._page = page
        self._url = url
        self._pictures = pictures
        self._taken = 0

    async def log_in(self) -> None:
        """Log in and see the list of configurations."""
        page = self._page
        await page.goto(self._url)
        await page.locator("input").nth(0).fill(USER)
        await page.locator("input").nth(1).fill(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.locator("tr", has_text="websocket-service.yml")).to_be_visible()
        await self.picture("list")

    async def open(self, data_id: str) -> None:
        """Go to the list and open a document's editor, by its row's Edit."""
        page = self._page
        # The address of the list, as its entry in the menu has it.
        await page.goto(f"{self._url}#/configurationManagement")
        await page.reload()
        row = page.locator("tr", has_text=data_id)
        await row.get_by_text("Edit", exact=True).click()
        await expect(page.locator(".view-line").first).not_to_be_empty()
        await self.picture("editor")

    async def replace(self, line: str, old: str, new: str) -> None:
        """Double-click a word in the line that reads `line`, and type another one."""
        shown = self._line(line)
        await shown.locator("span", has_text=re.compile(rf"^\s*{old}$")).last.dblclick()
        await self._page.keyboard.type(new)
        await expect(self._line(line.replace(old, new))).to_be_visible()
        await self.picture(f"{new}-typed")

    async def publish(self) -> None:
        """Publish, look at the comparison that the console shows, publish for good, and say OK."""
        page = self._page
        await page.get_by_role("button", name="Publish").click()
        dialog = page.get_by_role("dialog").filter(has_text="Content Comparison")
        await expect(dialog).to_be_visible()
        await self.picture("comparison")
        await dialog.get_by_role("button", name="Publish").click()
        await expect(dialog).to_be_hidden()
        done = page.get_by_role("button", name="OK")
        await expect(done).to_be_visible()
        await self.picture("published")
        await done.click()

    async def picture(self, name: str) -> None:
        self._taken += 1
        path = self._pictures / f"{self._taken:02}-{name}.png"
        # With animations ended, or dialogs are half transparent.
        await self._page.screenshot(path=path, animations="disabled")

    def _line(self, text: str) -> Locator:
        # Monaco writes the spaces of a line as no-break spaces.
        words = r"\s+".join(re.escape(word) for word in text.split())
        return self._page.locator(".view-line", has_text=re.compile(rf"^\s*{words}$"))


@contextlib.asynccontextmanager
async def nacos_console(url: str, pictures: Path) -> AsyncIterator[NacosConsole]:
    """Open a window at the console; what fails within tells where its pictures are."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed (Debian package chromium; ./dev test installs it)"
    # Chromium refuses to be sandboxed by root, and CI is root.
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = await browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en-US")
        page.set_default_timeout(_LIMIT)
        expect.set_options(timeout=_LIMIT)
        console = NacosConsole(page, url, pictures)
        try:
            yield console
        except BaseException as error:
            with contextlib.suppress(Exception):
                await console.picture("failed")
            error.add_note(f"pictures of the console: {pictures}")
            raise
        finally:
            await browser.close()
