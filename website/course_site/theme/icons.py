"""Font Awesome's script without the icons that no page shows: a tenth of its size on every page."""

import re
from pathlib import Path

SCRIPT = Path("_static", "scripts", "fontawesome.js")
# name: [width, height, [aliases and code points], "code point", "path" or ["path", "path"]]
_ICON = re.compile(
    r'"?([a-z0-9-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?'
)
_CLASS = re.compile(r"\bfa-([a-z0-9-]+)")


def remove_unused(site: Path) -> None:
    """Remove the icons whose class is in no page and no script of the site."""
    script = site / SCRIPT
    if not script.is_file():
        return
    used: set[str] = set()
    for path in [*site.rglob("*.html"), *script.parent.glob("*.js")]:
        if path != script:
            used.update(_CLASS.findall(path.read_text(encoding="utf-8")))

    def keep(icon: re.Match) -> str:
        names = {icon[1], *re.findall(r'"([^"]+)"', icon[2])}
        return icon[0] if names & used else ""

    text = script.read_text(encoding="utf-8")
    script.write_text(_ICON.sub(keep, text), encoding="utf-8")
