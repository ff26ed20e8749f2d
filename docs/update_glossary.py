"""Update the line "First in lesson N" of every term in docs/glossary.md, and list the terms that no
lesson uses, and the terms that their first lesson does not link.

Run it in the root of a clone: ``uv run python docs/update_glossary.py``.
"""

from pathlib import Path

from course_grading.assign import glossary

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Rewrite the glossary, and print the two lists."""
    path = ROOT / glossary.PATH
    sources = glossary.read_sources(ROOT / "solutions")
    path.write_text(
        glossary.with_first_lessons(path.read_text(encoding="utf-8"), sources), encoding="utf-8"
    )
    terms = glossary.read(path)
    for term in terms.values():
        if glossary.first_place(term, sources) is None:
            print(f"{term.name}: no lesson uses it")
    for lesson, source in sources.items():
        for term in glossary.unlinked(lesson, source, terms):
            place = glossary.first_place(term, {lesson: source})
            where = f"line {place.line}, {place.section}" if place else "its first place"
            print(
                f"{lesson}: [{term.name}](../docs/glossary.md#{term.slug}) is not linked: {where}"
            )


if __name__ == "__main__":
    main()
