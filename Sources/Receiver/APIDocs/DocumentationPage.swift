import FoundationEssentials
import Hummingbird

/// `GET /docs`: the OpenAPI document for people.
///
/// The page is made once, from the document alone. It needs no script and loads nothing from elsewhere.
struct DocumentationPage {
    let document: OpenAPIDocument

    /// The answer, which is the same for every request.
    static let response: Response = {
        do {
            let html = DocumentationPage(document: try OpenAPIDocument(json: OpenAPI.document)).html
            return .page(html, policy: contentSecurityPolicy)
        } catch {
            preconditionFailure("the document is not what its page reads: \(error)")
        }
    }()

    private static let contentSecurityPolicy = """
        default-src 'none'; style-src '\(Page.hash(style))'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'
        """

    var html: HTML {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(document.info.title): interface</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <header>
        <h1>\(document.info.title)</h1>
        <p>\(Self.prose(document.info.summary))</p>
        <p>\(Self.prose(document.info.description)) For machines: <a href="/openapi.json">OpenAPI 3.1</a>, version \
        \(document.info.version).</p>
        </header>
        <nav aria-label="Contents">
        \(document.tags.map(contents))
        </nav>
        <main>
        \(document.tags.map(chapter))
        <h2 id="schemas">Schemas</h2>
        \(document.components.schemas.sorted { $0.key < $1.key }.map(schema))
        </main>
        </body>
        </html>

        """
    }

    private struct Entry {
        let method: String
        let path: String
        let operation: OpenAPIDocument.Operation
    }

    private func entries(of tag: OpenAPIDocument.Tag) -> [Entry] {
        document.paths.flatMap { path, operations in
            operations.map { Entry(method: $0.uppercased(), path: path, operation: $1) }
        }
        .filter { $0.operation.tags.first == tag.name }.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
    }

    private func contents(_ tag: OpenAPIDocument.Tag) -> HTML {
        let entries = entries(of: tag).map { entry -> HTML in
            """
            <li><a href="#\(entry.operation.operationId)"><code>\(entry.method) \(entry.path)</code></a> \
            \(entry.operation.summary)</li>

            """
        }
        return "<h2>\(tag.name)</h2>\n<ul>\n\(entries)</ul>\n"
    }

    private func chapter(_ tag: OpenAPIDocument.Tag) -> HTML {
        "<h2>\(tag.name)</h2>\n<p>\(Self.prose(tag.description))</p>\n\(entries(of: tag).map(section))"
    }

    private func section(_ entry: Entry) -> HTML {
        let operation = entry.operation
        let samples = operation.samples.map { sample -> HTML in "<pre><code>\(sample.source)</code></pre>\n" }
        let parameters = (operation.parameters ?? []).map { parameter -> HTML in
            """
            <tr><th scope="row"><code>\(parameter.name)</code></th><td>\(parameter.in)\
            \(parameter.required ? ", required" : "")</td><td>\(kind(of: parameter.schema))</td>\
            <td>\(Self.prose(parameter.description))</td></tr>

            """
        }
        let body = operation.requestBody.map { body -> HTML in
            "<h4>Body</h4>\n<p>\(content(body.content)). \(Self.prose(body.description))</p>\n"
        }
        return """
            <section id="\(operation.operationId)">
            <h3><code>\(entry.method) \(entry.path)</code></h3>
            <p><strong>\(operation.summary).</strong> \(Self.prose(operation.description ?? ""))</p>
            <p>\(access(operation.security))</p>
            \(samples)\(Self.table("Parameters", ["name", "where", "what", "meaning"], parameters))\(body)\
            \(Self.table("Answers", ["status", "body", "meaning"], answers(operation)))</section>

            """
    }

    /// The keys that give access.
    private func access(_ alternatives: [[String: [String]]]) -> HTML {
        let schemes = alternatives.compactMap { $0.keys.first }.compactMap { document.components.securitySchemes[$0] }
        guard !schemes.isEmpty else { return "Open to everybody." }
        let ways = schemes.map { scheme -> HTML in "<li>\(Self.prose(scheme.description))</li>" }
        let isOptional: HTML = alternatives.contains { $0.isEmpty } ? " (unless the receiver is set up to be open)" : ""
        return "Needs a key\(isOptional):</p>\n<ul>\(ways)</ul>\n<p>"
    }

    private func answers(_ operation: OpenAPIDocument.Operation) -> [HTML] {
        operation.responses.sorted { $0.key < $1.key }.map { status, referable in
            guard let answer = document.resolve(referable, in: \.responses) else { return "" }
            let headers = (answer.headers ?? [:]).sorted { $0.key < $1.key }.map { name, referable -> HTML in
                let meaning = document.resolve(referable, in: \.headers)?.description ?? ""
                return "<br><code>\(name)</code> \(Self.prose(meaning))"
            }
            return """
                <tr><th scope="row">\(status)</th><td>\(content(answer.content))</td>\
                <td>\(Self.prose(answer.description))\(headers)</td></tr>

                """
        }
    }

    private func content(_ content: [String: OpenAPIDocument.Content]) -> HTML {
        let parts = content.sorted { $0.key < $1.key }.map { type, content -> HTML in
            type == "application/json" ? kind(of: content.schema) : "<code>\(type)</code>"
        }
        return "\(parts)"
    }

    private func schema(_ name: String, _ schema: OpenAPISchema) -> HTML {
        """
        <section id="schema-\(name)">
        <h3>\(name)</h3>
        <p>\(Self.prose(schema.description ?? ""))\(schema.properties.isEmpty ? kind(of: schema) : "")</p>
        \(Self.table(nil, ["member", "what", "meaning"], rows(of: schema, below: "")))</section>

        """
    }

    /// One row for each member, including the members of inner objects: `channels[].points[].power`.
    private func rows(of schema: OpenAPISchema, below path: String) -> [HTML] {
        let order = { (name: String) in schema.required.firstIndex(of: name) ?? schema.required.count }
        return schema.properties.sorted { (order($0.key), $0.key) < (order($1.key), $1.key) }.flatMap { name, member in
            let row: HTML = """
                <tr><th scope="row"><code>\(path)\(name)</code></th><td>\(kind(of: member))\
                \(schema.required.contains(name) ? "" : ", may be absent")</td>\
                <td>\(Self.prose(member.description ?? ""))</td></tr>

                """
            return [row] + rows(of: member, below: path + name + ".")
                + (member.items.map { rows(of: $0, below: path + name + "[].") } ?? [])
        }
    }

    /// The allowed values, in words.
    private func kind(of schema: OpenAPISchema) -> HTML {
        if let reference = schema.reference { return "<a href=\"#schema-\(reference)\">\(reference)</a>" }
        if let first = schema.alternatives.first { return "\(kind(of: first)), or anything else" }
        if !schema.values.isEmpty {
            return "\(schema.values.map { value -> HTML in "<code>\(value)</code> " })"
        }
        let bounds = schema.bounds.isEmpty ? "" : ", " + schema.bounds.joined(separator: ", ")
        if let items = schema.items { return "array of \(kind(of: items))\(bounds)" }
        return "\(schema.types.joined(separator: " or "))\(bounds)"
    }

    private static func table(_ title: String?, _ columns: [String], _ rows: [HTML]) -> HTML {
        guard !rows.isEmpty else { return "" }
        let heading: HTML? = title.map { "<h4>\($0)</h4>\n" }
        let names = columns.map { name -> HTML in "<th scope=\"col\">\(name)</th>" }
        return """
            \(heading)<div class="scroll"><table><thead><tr>\(names)</tr></thead><tbody>
            \(rows)</tbody></table></div>

            """
    }

    /// Text in which parts between backticks are code.
    private static func prose(_ text: String) -> HTML {
        let parts = text.split(separator: "`", omittingEmptySubsequences: false)
        return
            "\(parts.enumerated().map { index, part -> HTML in index % 2 == 1 ? "<code>\(part)</code>" : "\(part)" })"
    }

    private static let style: HTML = """
        :root { color-scheme: light dark; --back: #f6f8fa; --card: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --link: #0969da; }
        @media (prefers-color-scheme: dark) {
          :root { --back: #0d1117; --card: #151b23; --ink: #e6edf3; --soft: #9da7b3; --line: #3d444d; --link: #58a6ff; }
        }
        body {
          margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; max-width: 64rem; background: var(--back); color: var(--ink);
          font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
        }
        h1 { font-size: 1.35rem; }
        h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; text-transform: capitalize; }
        h3 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
        h4 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--soft); }
        p, ul { margin: .5rem 0; }
        a { color: var(--link); text-underline-offset: .15em; }
        nav, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .875rem 1rem; margin: 0 0 1rem; }
        nav h2 { font-size: .875rem; margin: .5rem 0 0; color: var(--soft); }
        nav ul { margin: 0; padding: 0; list-style: none; }
        code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .875rem; }
        pre { background: var(--back); border: 1px solid var(--line); border-radius: .375rem; padding: .5rem .75rem; overflow-x: auto; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
        th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); }
        thead th { border-top: 0; color: var(--soft); font-weight: 400; font-size: .8125rem; }
        tbody th { font-weight: 500; white-space: nowrap; }

        """
}
