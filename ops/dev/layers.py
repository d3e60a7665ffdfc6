#!/usr/bin/env python3
"""Checks that the folders of Sources are layers, as docs/ARCHITECTURE.md says:

    ops/dev/layers.py

- A folder of Sources/Receiver and Sources/Loader uses only folders below it in the document's table.
- The first file of each folder begins with three lines: what the folder is, where to begin, and what it uses. The last
  one is compared with the code, so that a new arrow between folders is seen in a review.

The arrows are found in the text: the names of the types that a folder declares, and the modules that it imports.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLARATION = re.compile(
    r"^(?:(?:public|package|internal|final|indirect|nonisolated|@\w+(?:\([^)\n]*\))?) +)*"
    r"(?:struct|class|enum|actor|protocol|typealias) +(\w+)", re.M)
IMPORT = re.compile(r"^(?:(?:public|package|internal|@\w+) +)*import +(?:\w+ +)?(\w+)", re.M)
# Comments, and strings without their interpolations.
BLANK = re.compile(r'//[^\n]*|/\*.*?\*/|"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\[^(])*"', re.S)


def folders(module):
    """The folders of a program in the order of its table, with what each is."""
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    table = text.split(f"| `Sources/{module}/` | |\n|---|---|\n")[1].split("\n\n")[0]
    return [re.match(r"\| `(\w+)` \|", row)[1] for row in table.strip().split("\n")]


class Folder:
    def __init__(self, path):
        self.path, self.name = path, path.name
        self.files = sorted(path.rglob("*.swift"))
        sources = [BLANK.sub(" ", file.read_text()) for file in self.files]
        self.declared = {name for source in sources for name in DECLARATION.findall(source)}
        self.words = collections.Counter(word for source in sources for word in re.findall(r"\b[A-Z]\w*", source))
        self.imports = {name for source in sources for name in IMPORT.findall(source)}


def main():
    errors = []
    shared = [Folder(path) for path in sorted((ROOT / "Sources/Shared").iterdir()) if list(path.glob("*.swift"))]
    modules = {folder.name for folder in shared}
    package = (ROOT / "Package.swift").read_text()
    for module in ("Receiver", "Loader"):
        order = [name for name in folders(module)]
        present = {path.name for path in (ROOT / "Sources" / module).iterdir() if path.is_dir()}
        for name in present.symmetric_difference(order):
            errors.append(f"docs/ARCHITECTURE.md and Sources/{module} do not agree about the folder {name}")
        layers = [Folder(ROOT / "Sources" / module / name) for name in order if name in present]
        for index, folder in enumerate(layers):
            if not folder.files:
                continue
            # A folder that is a target of its own sees no other one without an import.
            is_target = f'"Sources/{module}/{folder.name}"' in package
            used = [
                other.name for other in layers
                if other is not folder and (other.name in folder.imports or not is_target
                                            and (other.declared - folder.declared) & folder.words.keys())]
            for name in used:
                if order.index(name) < index:
                    errors.append(f"Sources/{module}/{folder.name} uses {name}, which is above it in docs/ARCHITECTURE.md")
            check(folder, ["any other folder"] if index == 0 else sorted(used) + sorted(folder.imports & modules), errors)
    for folder in shared:
        check(folder, sorted(folder.imports & modules), errors)
    for error in errors:
        print(f"layers.py: {error}", file=sys.stderr)
    return 1 if errors else 0


def check(folder, used, errors):
    """Compares the head of a folder's first file with the code."""
    file = folder.files[0]
    head = file.read_text().split("\n")[:3]
    expected = f"// Uses {', '.join(used) or 'nothing else'}."
    where = file.relative_to(ROOT)
    if not head[0].startswith(f"// {folder.name}: ") or not re.match(r"// Begin with \w[\w+]*\.swift", head[1]):
        errors.append(f"{where} must begin with '// {folder.name}: …', '// Begin with ….swift …' and '{expected}'")
    elif not (folder.path / re.match(r"// Begin with ([\w+]*\.swift)", head[1])[1]).exists():
        errors.append(f"{where}:2 names a file that is not there")
    elif head[2] != expected:
        errors.append(f"{where}:3 must be '{expected}'")


if __name__ == "__main__":
    sys.exit(main())
