#!/usr/bin/env python3
"""Writes a program's manual page from its own help, so that the two cannot differ.

    manual.py PROGRAM VERSION DATE EXTRA >PAGE

PROGRAM --experimental-dump-help gives commands and flags; EXTRA is a file with the sections behind them, in mdoc(7).
"""
import json
import pathlib
import subprocess
import sys

# Options of every command.
COMMON = ("help", "version")


def main(program, version, date, extra):
    output = subprocess.run([program, "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout
    command = json.loads(output)["command"]
    name = command["commandName"]
    page = [f".Dd {date}", f".Dt {name.upper()} 1", f".Os shelly-collector {version}"]
    page += [".Sh NAME", f".Nm {name}", f".Nd {text(command['abstract']).rstrip('.')}", ".Sh SYNOPSIS"]
    for each in runnable(command):
        page += synopsis(each, name)
    page += [".Sh DESCRIPTION", *paragraphs(command["abstract"]), *paragraphs(command.get("discussion", ""))]
    page += options(command)
    if subcommands(command):
        page.append(".Sh COMMANDS")
    for each in subcommands(command):
        page += [f".Ss {each['commandName']}", *paragraphs(each["abstract"]), *paragraphs(each.get("discussion", ""))]
        page += options(each, leaving_out=COMMON)
    print("\n".join(page))
    print(pathlib.Path(extra).read_text(encoding="utf-8"), end="")


def subcommands(command):
    return [each for each in command.get("subcommands", []) if each.get("shouldDisplay", True)
            and each["commandName"] != "help"]


def runnable(command):
    return subcommands(command) or [command]


def arguments(command):
    return [each for each in command.get("arguments", []) if each.get("shouldDisplay", True)]


def synopsis(command, name):
    lines = [f".Nm {name}"]
    if command["commandName"] != name:
        lines.append(f".Cm {command['commandName']}")
    for each in arguments(command):
        if each["valueName"] in COMMON:
            continue
        if each["kind"] == "positional":
            word = f"Ar {each['valueName']}{' ...' if each['isRepeating'] else ''}"
        else:
            word = flag(each["preferredName"]) + (f" Ar {each['valueName']}" if each["kind"] == "option" else "")
        lines.append(f".Op {word}" if each["isOptional"] else f".{word}")
    return lines


def options(command, leaving_out=()):
    lines = [".Bl -tag -width Ds"]
    for each in arguments(command):
        if each["valueName"] in leaving_out:
            continue
        if each["kind"] == "positional":
            lines.append(f".It Ar {each['valueName']}")
        else:
            names = " , ".join(flag(one) for one in each["names"])
            lines.append(f".It {names}" + (f" Ar {each['valueName']}" if each["kind"] == "option" else ""))
        lines += paragraphs(each.get("abstract", ""))
        lines += paragraphs(each.get("discussion", ""))
        if each.get("defaultValue"):
            lines.append(f"The default is {text(each['defaultValue'])}.")
    return lines + [".El"]


def flag(name):
    return f"Fl {name['name']}" if name["kind"] == "short" else f"Fl \\-{text(name['name'])}"


def paragraphs(words):
    """A line of words is a paragraph, a sentence a line."""
    lines = []
    for paragraph in filter(None, words.split("\n")):
        lines += [".Pp"] if lines else []
        lines += [text(line) for line in paragraph.replace(". ", ".\n").split("\n")]
    return lines


def text(words):
    words = words.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + words if words[:1] in ".'" else words


if __name__ == "__main__":
    main(*sys.argv[1:])
