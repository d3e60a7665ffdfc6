#!/usr/bin/env python3
"""Writes the page at /docs from openapi.json, so that the two cannot differ.

    docs.py [--check]

--check writes nothing. It fails if docs.html is not the page of the present openapi.json.
"""
import html
import json
import pathlib
import sys

RESOURCES = pathlib.Path(__file__).parent.parent.parent / "Sources/Receiver/Resources"

# The receiver replaces the link by the style sheet itself, so that a browser loads nothing else.
PAGE = """\
<!DOCTYPE html>
<!-- Made from openapi.json by ops/dev/docs.py. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: interface</title>
<link rel="stylesheet" href="docs.css">
</head>
<body>
<header>
<h1>{title}</h1>
<p>{summary}</p>
<p>{description} For machines: <a href="/openapi.json">OpenAPI 3.1</a>, version {version}.</p>
</header>
<nav aria-label="Contents">
{contents}</nav>
<main>
{chapters}<h2 id="schemas">Schemas</h2>
{schemas}</main>
</body>
</html>
"""


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit("usage: ops/dev/docs.py [--check]")
    document = json.loads((RESOURCES / "openapi.json").read_text(encoding="utf-8"))
    text = page(document)
    target = RESOURCES / "docs.html"
    if not arguments:
        target.write_text(text, encoding="utf-8")
    elif text != target.read_text(encoding="utf-8"):
        sys.exit("docs.py: docs.html is older than openapi.json; ops/dev/docs.py writes it again")


def page(document):
    info, tags, schemas = document["info"], document["tags"], document["components"]["schemas"]
    return PAGE.format(
        title=escaped(info["title"]), summary=prose(info["summary"]), description=prose(info["description"]),
        version=escaped(info["version"]), contents="".join(contents(document, tag) for tag in tags),
        chapters="".join(chapter(document, tag) for tag in tags),
        schemas="".join(schema_section(name, schemas[name]) for name in sorted(schemas)))


def operations(document, tag):
    """(path, method, operation) of each operation with this tag first."""
    return sorted(((path, method.upper(), operation) for path, methods in document["paths"].items()
                   for method, operation in methods.items() if operation["tags"][0] == tag["name"]),
                  key=lambda each: each[:2])


def contents(document, tag):
    entries = "".join(
        f'<li><a href="#{operation["operationId"]}"><code>{method} {escaped(path)}</code></a> '
        f'{escaped(operation["summary"])}</li>\n' for path, method, operation in operations(document, tag))
    return f'<h2>{escaped(tag["name"])}</h2>\n<ul>\n{entries}</ul>\n'


def chapter(document, tag):
    sections = "".join(operation_section(document, *each) for each in operations(document, tag))
    return f'<h2>{escaped(tag["name"])}</h2>\n<p>{prose(tag["description"])}</p>\n{sections}'


def operation_section(document, path, method, operation):
    parts = [
        f'<section id="{operation["operationId"]}">\n<h3><code>{method} {escaped(path)}</code></h3>\n',
        paragraph(f'<strong>{escaped(operation["summary"])}.</strong>', prose(operation.get("description", ""))),
        access(document, operation["security"]),
        *(f'<pre><code>{escaped(sample["source"])}</code></pre>\n' for sample in operation["x-codeSamples"]),
        table("Parameters", ["name", "where", "type", "meaning"], map(parameter_row, operation.get("parameters", []))),
    ]
    if body := operation.get("requestBody"):
        parts.append(f'<h4>Body</h4>\n<p>{content(body)}. {prose(body["description"])}</p>\n')
    parts.append(table("Answers", ["status", "body", "meaning"],
                       (answer_row(document, *each) for each in sorted(operation["responses"].items()))))
    if example := operation["responses"]["200"]["content"].get("application/json", {}).get("example"):
        parts.append(f"<h4>Example of an answer</h4>\n<pre><code>{escaped(laid_out(example))}</code></pre>\n")
    return "".join(parts) + "</section>\n"


def access(document, alternatives):
    """The keys that give access, and whether it is open without one: by default, or by a setting."""
    schemes = [document["components"]["securitySchemes"][name] for names in alternatives for name in names]
    if not schemes:
        return "<p>Open to all.</p>\n"
    if alternatives[0] == {}:
        rule = "Open to all, unless the receiver is configured to require a key"
    elif {} in alternatives:
        rule = "Needs a key; without a configured read key, a connection over loopback is enough"
    else:
        rule = "Needs a key"
    ways = "".join(f'<li>{prose(scheme["description"])}</li>' for scheme in schemes)
    return f"<p>{rule}:</p>\n<ul>{ways}</ul>\n"


def parameter_row(parameter):
    required = ", required" if parameter["required"] else ""
    return [code(parameter["name"]), parameter["in"] + required, kind(parameter["schema"]),
            prose(parameter["description"])]


def answer_row(document, status, answer):
    answer = resolved(document, answer)
    headers = "".join(f"<br>{code(name)} {header_text(resolved(document, header))}"
                      for name, header in sorted(answer.get("headers", {}).items()))
    return [status, content(answer), prose(answer["description"]) + headers]


def header_text(header):
    return prose(header["description"]) if "description" in header else kind_sentence(header["schema"])


def schema_section(name, schema):
    values = "" if schema.get("properties") else kind_sentence(schema)
    return (f'<section id="schema-{name}">\n<h3>{name}</h3>\n{paragraph(prose(schema.get("description", "")), values)}'
            f'{table(None, ["member", "type", "meaning"], member_rows(schema, ""))}</section>\n')


def member_rows(schema, path):
    """A row for each member, and for each member of an inner object: `channels[].points[].power`."""
    required = schema.get("required", [])

    def order(name):
        return (required.index(name) if name in required else len(required), name)

    for name in sorted(schema.get("properties", {}), key=order):
        member = schema["properties"][name]
        absent = "" if name in required else ", may be absent"
        yield [code(path + name), kind(member) + absent, prose(member.get("description", ""))]
        yield from member_rows(member, f"{path}{name}.")
        yield from member_rows(member.get("items", {}), f"{path}{name}[].")


def content(answer):
    """The type of a body, or its content type if it is not JSON."""
    return "".join(kind(each["schema"]) if type == "application/json" else code(type)
                   for type, each in sorted(answer["content"].items()))


def kind(schema):
    """The type, or the allowed values, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return f'{kind(schema["anyOf"][0])}, or anything else'
    if "const" in schema:
        return f'always {code(schema["const"])}'
    if "enum" in schema:
        values = ", ".join(code(value) for value in schema["enum"] if value is not None)
        return f"one of {values}{', or null' if None in schema['enum'] else ''}"
    limits = "".join(f", {limit}" for limit in bounds(schema))
    if "items" in schema:
        return f'array of {kind(schema["items"])}{limits}'
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(types) + limits


def kind_sentence(schema):
    words = kind(schema)
    return f"{words[0].upper()}{words[1:]}." if schema.keys() & {"const", "enum"} else f"Type: {words}."


def bounds(schema):
    if "format" in schema:
        yield schema["format"]
    for least, most, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"),
                              ("minItems", "maxItems", " items")):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
        elif low is not None:
            yield f"{low}{unit} or more"
        elif high is not None:
            yield f"at most {high}{unit}"
    if "default" in schema:
        yield f'{schema["default"]} by default'


def table(title, columns, rows):
    """A table whose first column names the rows; nothing if there is no row."""
    body = "".join(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>\n'
                   for first, *rest in rows)
    if not body:
        return ""
    heading = f"<h4>{title}</h4>\n" if title else ""
    names = "".join(f'<th scope="col">{name}</th>' for name in columns)
    return f'{heading}<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def laid_out(value, margin=""):
    """JSON on one line if it is short, otherwise with one member a line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(margin + line) <= 110 or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {laid_out(member, margin + '  ')}" for name, member in value.items()]
        return f"{{\n{margin}  " + f",\n{margin}  ".join(parts) + f"\n{margin}}}"
    parts = [laid_out(element, margin + "  ") for element in value]
    return f"[\n{margin}  " + f",\n{margin}  ".join(parts) + f"\n{margin}]"


def resolved(document, value):
    """The value itself, or the one among the components to which it refers."""
    if "$ref" not in value:
        return value
    _, _, group, name = value["$ref"].split("/")
    return document["components"][group][name]


def prose(text):
    """Text in which parts between backticks are code."""
    return "".join(code(part) if index % 2 else escaped(part) for index, part in enumerate(text.split("`")))


def paragraph(*sentences):
    """Nothing if all of them are empty."""
    text = " ".join(filter(None, sentences))
    return f"<p>{text}</p>\n" if text else ""


def code(text):
    return f"<code>{escaped(text)}</code>"


def escaped(text):
    return html.escape(str(text), quote=False)


if __name__ == "__main__":
    main(sys.argv[1:])
