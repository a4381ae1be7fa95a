"""axe-core, the checks that browsers' own audits run, on every tab, in the colours and widths that people have."""

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_server import WAIT_MS, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("width", "colours"), [(1440, "light"), (390, "dark")])
def test_no_serious_finding(browser: "Browser", server: Server, width: int, colours: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)  # type: ignore[arg-type]
    page.set_default_timeout(WAIT_MS)
    page.goto(server.url)
    page.locator("#comparison img").last.wait_for()
    page.locator("#metrics dt").last.wait_for()
    for tab in ("Denoise", "Many images", "Try it"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.get_by_role("tab", name=tab, exact=True, selected=True).wait_for()
        serious = [
            f"{found['id']}: {node['html'][:200]}"
            for found in Axe().run(page).response["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]
        assert not serious, (tab, serious)
    page.close()
