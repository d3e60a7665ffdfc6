#!/usr/bin/env python3
"""Finds links in Markdown files that lead nowhere: to a file that is not there, or to a heading that the file does not have.

    links.py DIRECTORY...

Links to other sites are not followed.
"""
import pathlib
import re
import sys

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```|^(?: {4}|\t).*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def main(directories):
    count, dead = 0, []
    for directory in directories:
        for page in sorted(pathlib.Path(directory).rglob("*.md")):
            # Without the files of builds and tools.
            if any(part.startswith(".build") or part in (".local", "node_modules") for part in page.parts):
                continue
            for link in LINK.finditer(CODE.sub("", page.read_text(encoding="utf-8"))):
                target = link[1] or link[2]
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                count += 1
                if not leads_somewhere(page, target):
                    dead.append(f"{page}: {target}")
    print("\n".join(dead + [f"{count} links, {len(dead)} of them dead"]))
    return 1 if dead or not count else 0


def leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    if not file.exists():
        return False
    return not anchor or file.suffix != ".md" or anchor in anchors(file.read_text(encoding="utf-8"))


def anchors(text):
    """As forges make them of headings: a repeated one gets a number."""
    seen, names = {}, set()
    for heading in HEADING.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = seen.get(name, 0)
        seen[name] = number + 1
        names.add(f"{name}-{number}" if number else name)
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
