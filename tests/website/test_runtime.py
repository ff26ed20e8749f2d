"""Asset files are split, loaded and verified in Chromium; missing and damaged ones are reported."""

import pytest
from course_site import bundle
from course_site.models import package
from playwright.sync_api import Error

from tests.support import question_page

CONTENTS = {"model": bytes(range(256)) * 20}
CALL = "name => course.loadAsset(name).then(bytes => Array.from(bytes))"


@pytest.fixture(scope="module")
def script():
    """The page's JavaScript."""
    question_page.skip_without_packages()
    return bundle.bundled("tests/agreement-page.js")


@pytest.fixture
def folder(tmp_path, script):
    """A page with a file in several pieces."""
    package.write_assets(CONTENTS, tmp_path / "_static" / "assets")
    (tmp_path / "_static" / "course.js").write_bytes(script)
    # Without data-root, the root is derived from the script's URL.
    page = '<!doctype html><title>Files</title><script src="_static/course.js"></script>'
    (tmp_path / "index.html").write_text(page)
    return tmp_path


def load(chromium, address: str, name: str = "model") -> list[int]:
    page = chromium.new_page()
    try:
        page.goto(address)
        return page.evaluate(CALL, name)
    finally:
        page.close()


@pytest.mark.extended
def test_file_is_loaded_from_a_folder_and_from_a_server(chromium, folder, serve):
    for address in ((folder / "index.html").as_uri(), serve(folder)):
        assert bytes(load(chromium, address)) == CONTENTS["model"]


@pytest.mark.parametrize(
    ("file", "contents", "message"),
    [
        ("model.0.js", None, "could not load a part of “model”. Is the site's folder complete"),
        ("manifest.js", None, "could not load the list of its models"),
        ("model.0.js", 'courseAsset("model",0,"AAAA")', "is damaged"),
        ("manifest.js", "courseManifest({})", "has no file “model”"),
    ],
)
@pytest.mark.extended
def test_missing_or_damaged_file_is_reported(chromium, folder, file, contents, message):
    path = folder / "_static" / "assets" / file
    path.unlink()
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(Error, match=message):
        load(chromium, (folder / "index.html").as_uri())


def test_build_is_reproducible(tmp_path):
    sizes = [package.write_assets(CONTENTS, tmp_path / name) for name in ("one", "two")]
    assert sizes[0] == sizes[1]
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.extended
def test_files_are_split_into_pieces(tmp_path, monkeypatch, chromium, folder):
    monkeypatch.setattr(package, "PIECE", 100)
    package.write_assets(CONTENTS, folder / "_static" / "assets")
    assert len(list((folder / "_static" / "assets").glob("model.*.js"))) > 1
    assert bytes(load(chromium, (folder / "index.html").as_uri())) == CONTENTS["model"]
