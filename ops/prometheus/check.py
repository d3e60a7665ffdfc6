#!/usr/bin/env python3
"""Compares the metrics that alerts and dashboard use with those that a receiver exports.

    check.py METRICS EXPRESSIONS

METRICS is a scrape. Each expression of the dashboard goes into EXPRESSIONS, a rules file, so that promtool can parse
it. Prints the reasons and exits with 1 if the dashboard is not valid, if it or the alerts use a metric that the receiver
does not export, or if no panel shows a metric.
"""

import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DASHBOARD = os.path.join(HERE, "../grafana/shelly-collector.json")
RULES = os.path.join(HERE, "rules.yml")
# The values that replace Grafana's variables.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}
NAME = re.compile(r"\b(?:shelly|process)_[a-z_]+\b")

complaints = []


def complain(text):
    complaints.append(text)


def families(scrape):
    """Each family's type by its name."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.M))


def named(text, given):
    """The families that a PromQL expression names; a histogram's three series are one."""
    found = set()
    # A label's value is not a name.
    for name in NAME.findall(re.sub(r'"[^"]*"', '""', text)):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        found.add(base if given.get(base) == "histogram" else name)
    return found


def check_layout(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            complain(f"panel {panel['title']!r} is beyond the right edge")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    complain(f"panels {taken[x, y]!r} and {panel['title']!r} overlap")
                    return
                taken[x, y] = panel["title"]
    identities = [panel["id"] for panel in panels]
    if len(set(identities)) != len(identities):
        complain("two panels have the same id")


def expressions(dashboard):
    """Where each expression stands, and the expression."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        if not panel["description"]:
            complain(f"panel {panel['title']!r} has no description")
        for target in panel["targets"]:
            if not target["datasource"] == panel["datasource"] == source:
                complain(f"panel {panel['title']!r} does not use the chosen data source")
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"]).group(1)
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard)))
    for name in used - variables:
        complain(f"the dashboard has no variable {name!r}")


def main(scrape_path, expressions_path):
    with open(scrape_path, encoding="utf-8") as file:
        given = families(file.read())
    with open(RULES, encoding="utf-8") as file:
        rules = "".join(line for line in file if not line.lstrip().startswith(("#", "runbook_url:")))
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)

    check_layout(dashboard["panels"])
    shown = set()
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, (place, expression) in enumerate(expressions(dashboard)):
        names = named(expression, given)
        shown |= names
        for name in sorted(names - given.keys()):
            complain(f"dashboard, {place}: the receiver does not export {name}")
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        lines += [f"      - record: dashboard:{number}", f"        expr: {json.dumps(expression)}"]
    for name in sorted(named(rules, given) - given.keys()):
        complain(f"rules.yml: the receiver does not export {name}")
    for name in sorted(given.keys() - shown):
        complain(f"no panel shows {name}")
    with open(expressions_path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    for text in complaints:
        print(f"check.py: {text}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
