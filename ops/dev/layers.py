#!/usr/bin/env python3
"""Checks that the folders of Sources are layers, as docs/ARCHITECTURE.md says:

    ops/dev/layers.py [--fix]

- A folder of Sources/Receiver, Sources/Loader and Sources/Shared uses only folders below it in the document's table.
- The files of a folder do not use each other's types in a circle. `Type+X.swift` declares no type, so it is in none.
- The file to begin with, which the table names, begins with three lines: what the folder is, what to read next, and what
  the folder uses. The last one is compared with the code, so that a new arrow between folders is seen in a review;
  --fix writes it.

The arrows are found in the text: the names of the types that a folder declares, and the modules that it imports.
"""
import graphlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLARATION = re.compile(
    r"^(?:(?:public|package|internal|final|indirect|nonisolated|@\w+(?:\([^)\n]*\))?) +)*"
    r"(?:struct|class|enum|actor|protocol|typealias) +(\w+)", re.M)
IMPORT = re.compile(r"^(?:(?:public|package|internal|@\w+) +)*import +(?:\w+ +)?(\w+)", re.M)
WORD = re.compile(r"\b[A-Z]\w*")
NESTED = re.compile(r"^ +(?:\w+ +)*(?:struct|class|enum|actor|protocol|typealias) +(\w+)", re.M)
# Comments, and strings without their interpolations.
BLANK = re.compile(r'//[^\n]*|/\*.*?\*/|"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\[^(])*"', re.S)


def folders(module):
    """The folders of a table in their order, each with the file to begin with."""
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    table = text.split(f"| `Sources/{module}/` | begin with | |\n|---|---|---|\n")[1].split("\n\n")[0]
    rows = [re.match(r"\| `(\w+)` \| (?:`([\w+]+\.swift)`)? *\|", row) for row in table.strip().split("\n")]
    return {row[1]: row[2] for row in rows}


class Folder:
    def __init__(self, path):
        self.path, self.name = path, path.name
        self.sources = {file.name: BLANK.sub(" ", file.read_text()) for file in sorted(path.rglob("*.swift"))}
        self.declared = {name for source in self.sources.values() for name in DECLARATION.findall(source)}
        self.words = {word for source in self.sources.values() for word in WORD.findall(source)}
        self.imports = {name for source in self.sources.values() for name in IMPORT.findall(source)}

    def circle(self):
        """Files of which each uses a type of the next one, the first again at the end; None if there are none."""
        # A nested type hides another file's type of the same name.
        words = {file: set(WORD.findall(source)) - set(NESTED.findall(source)) for file, source in self.sources.items()}
        users = {file: {user for user in words if user != file and words[user] & set(DECLARATION.findall(source))}
                 for file, source in self.sources.items()}
        try:
            graphlib.TopologicalSorter(users).prepare()
        except graphlib.CycleError as error:
            return error.args[1]


def main():
    errors = []
    package = (ROOT / "Package.swift").read_text()
    modules = set(folders("Shared"))
    for module in ("Receiver", "Loader", "Shared"):
        begin = folders(module)
        order = list(begin)
        present = {path.name for path in (ROOT / "Sources" / module).iterdir() if path.is_dir() and list(path.rglob("*.swift"))}
        for name in present - set(order):
            errors.append(f"docs/ARCHITECTURE.md does not have the folder Sources/{module}/{name}")
        layers = [Folder(ROOT / "Sources" / module / name) for name in order if name in present]
        for index, folder in enumerate(layers):
            # A folder that is a target of its own sees no other one without an import.
            is_target = f'"Sources/{module}/{folder.name}"' in package
            used = [
                other.name for other in layers
                if other is not folder and (other.name in folder.imports or not is_target
                                            and (other.declared - folder.declared) & folder.words)]
            for name in used:
                if order.index(name) < order.index(folder.name):
                    errors.append(f"Sources/{module}/{folder.name} uses {name}, which is above it in docs/ARCHITECTURE.md")
            if module != "Shared":
                used = sorted(used) + sorted(folder.imports & modules)
                if index == 0:
                    used = ["any other folder"]
            if circle := folder.circle():
                errors.append(f"Sources/{module}/{folder.name} has files that use each other's types: {' uses '.join(circle)}")
            check(folder, begin[folder.name], sorted(used) if module == "Shared" else used, errors)
    for error in errors:
        print(f"layers.py: {error}", file=sys.stderr)
    return 1 if errors else 0


def check(folder, begin, used, errors):
    """Compares the head of the file to begin with with the code."""
    file = folder.path / (begin or "")
    where = file.relative_to(ROOT)
    if not begin or not file.exists():
        errors.append(f"{where} is no file to begin with")
        return
    lines = file.read_text().split("\n")
    expected = f"// Uses {', '.join(used) or 'nothing else'}."
    if not lines[0].startswith(f"// {folder.name}: ") or not lines[1].startswith("// Begin here"):
        errors.append(f"{where} must begin with '// {folder.name}: …', '// Begin here….' and '{expected}'")
    elif lines[2] != expected and "--fix" in sys.argv:
        file.write_text("\n".join([*lines[:2], expected, *lines[3:]]))
    elif lines[2] != expected:
        errors.append(f"{where}:3 must be '{expected}'; see that the new arrow is meant, then run ops/dev/layers.py --fix")


if __name__ == "__main__":
    sys.exit(main())
