"""Write the course's public address into README.md: how to clone it, and a link to the website.

The address is ``[tool.course] repository`` in pyproject.toml. Run it in the root of a clone:
``uv run python docs/update_readme.py``. The parts of README.md between ``<!-- name -->`` and
``<!-- /name -->`` are generated. (A line must not begin with a marker: it would end the paragraph.)
"""

import re
from pathlib import Path

from course_grading.assign.build import repository_url

ROOT = Path(__file__).resolve().parents[1]
_GITHUB = re.compile(r"https://github\.com/(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?/?")


def generated_parts(repository: str) -> dict[str, str]:
    """The generated parts of README.md by name.

    Args:
        repository: the public address; empty if the course has none yet.
    """
    if not repository:
        return {"clone": "clone this repository", "website": ""}
    site = f" [Open the website]({website_url(repository)})." if website_url(repository) else ""
    return {"clone": f"clone this repository (`git clone {repository}`)", "website": site}


def website_url(repository: str) -> str:
    """Where GitHub Pages publishes the website; empty for an address outside GitHub."""
    match = _GITHUB.fullmatch(repository)
    if not match:
        return ""
    owner, name = match["owner"].lower(), match["name"]
    folder = "" if name.lower() == f"{owner}.github.io" else f"{name}/"
    return f"https://{owner}.github.io/{folder}"


def with_address(readme: str, repository: str) -> str:
    """The text of README.md with its generated parts updated.

    Raises:
        ValueError: if the markers of a part are missing.
    """
    for name, text in generated_parts(repository).items():
        marked = re.compile(rf"(<!-- {name} -->).*?(<!-- /{name} -->)", re.DOTALL)
        readme, count = marked.subn(lambda match, text=text: match[1] + text + match[2], readme)
        if count != 1:
            raise ValueError(f"README.md must have <!-- {name} --> ... <!-- /{name} --> once")
    return readme


def main() -> None:
    """Rewrite README.md."""
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    path.write_text(with_address(readme, repository_url(ROOT)), encoding="utf-8")


if __name__ == "__main__":
    main()
