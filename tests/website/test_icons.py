"""The theme's icon script keeps the icons that pages and scripts show."""

from pathlib import Path

import pydata_sphinx_theme
from course_site.theme import icons

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"


def write_site(folder: Path, icon_script: str) -> Path:
    script = folder / icons.SCRIPT
    script.parent.mkdir(parents=True)
    script.write_text(icon_script, encoding="utf-8")
    (folder / "index.html").write_text('<i class="fa-solid fa-search"></i>', encoding="utf-8")
    (script.parent / "theme.js").write_text('show("fa-lg fa-moon")', encoding="utf-8")
    return script


def test_unused_icons_are_removed(tmp_path):
    kept = 'moon:[1,2,[],"f186","M1"],"magnifying-glass":[1,2,[128269,"search"],"f002",["M2","M3"]]'
    unused = 'sun:[1,2,[],"f185","M4"],'
    script = write_site(tmp_path, f"a({{{unused}{kept}}})")
    icons.remove_unused(tmp_path)
    assert script.read_text(encoding="utf-8") == f"a({{{kept}}})"


def test_the_themes_script_becomes_much_smaller(tmp_path):
    original = (THEME / "scripts" / "fontawesome.js").read_text(encoding="utf-8")
    script = write_site(tmp_path, original)
    icons.remove_unused(tmp_path)
    remaining = script.read_text(encoding="utf-8")
    assert len(remaining) < len(original) / 5
    assert '"magnifying-glass":' in remaining and "moon:" in remaining
    assert '"cloud-moon":' not in remaining
