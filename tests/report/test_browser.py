"""The browser of the tests sees what is wrong with a page, and nothing where nothing is."""

from pathlib import Path

from tests.browser import Browser

_HEAD = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A page</title>"""
_FAULTY = f"""{_HEAD}<main><h1>A page</h1><img src="http://127.0.0.1:9/dot.png"><p style="color:#ccc">pale</p></main>
<script>console.error("said"); null.thrown</script>"""
_SOUND = f"""{_HEAD}<main><h1>A page</h1><p>dark</p><img alt="a dot" src="data:image/gif;base64,R0lGODlhAQABAAAAACw="></main>
<script>function save() {{ const a = document.createElement("a"); a.download = "a.txt";
a.href = URL.createObjectURL(new Blob(["saved"])); a.click() }}</script>"""


def test_faults_of_a_page_are_seen(browser: Browser, axe: Path, tmp_path: Path):
    (tmp_path / "faulty.html").write_text(_FAULTY)
    with browser.page() as page:
        page.open(tmp_path / "faulty.html")
        assert "said" in page.errors
        assert any("TypeError" in each for each in page.errors)
        assert page.requests == ["http://127.0.0.1:9/dot.png"]
        assert {each.partition(":")[0] for each in page.accessibility_faults(axe)} == {"image-alt", "color-contrast"}


def test_sound_page_has_none(browser: Browser, axe: Path, tmp_path: Path):
    (tmp_path / "sound.html").write_text(_SOUND)
    with browser.page(width=400) as page:
        page.open(tmp_path / "sound.html")
        assert page.accessibility_faults(axe) == []
        assert page.evaluate("innerWidth") == 400
        page.evaluate("save()")
        assert page.downloaded("a.txt") == b"saved"
        page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
        assert page.errors == page.requests == []
