// HTML: HTML, plots and figures for the pages.
// Begin here.
// Uses HTTP, Time.

import CResources
import FoundationEssentials
import Time

/// A whole page: its head, its content, and the one style and script that the browser may accept.
struct HTMLPage: Sendable {
    private static let style = HTML(markup: String(cString: shelly_page_css()))
    private static let script = HTML(markup: String(cString: shelly_page_js()))

    let title: String
    /// The worst level on the page, shown as its icon.
    let level: Verdict.Level
    /// When the page was made.
    let now: Timestamp
    let content: HTML

    var html: HTML {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(title)</title>
        <link id="icon" data-live rel="icon" href="data:image/svg+xml,\(Self.icon(level))">
        <style>\(Self.style)</style>
        </head>
        <body>
        <p id="stale" role="status" hidden>This page could not be refreshed. It shows the state at the time above.</p>
        \(content)
        <script>\(Self.script)</script>
        </body>
        </html>

        """
    }

    /// When the page was made; the browser's script updates it.
    static func made(at now: Timestamp) -> HTML {
        let time = now.readable(.seconds)
        return "<p id=\"made\" data-live class=\"made\">As of <time datetime=\"\(time)Z\">\(time)</time> UTC</p>"
    }

    /// Allows only this style, this script, the icon, and the page itself again.
    static let contentSecurityPolicy = """
        default-src 'none'; style-src '\(hash(style))'; script-src '\(hash(script))'; \
        img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'
        """

    /// The hash by which a policy names a style or a script.
    static func hash(_ content: HTML) -> String {
        "sha256-" + Data(SHA256Digest(of: content.markup).bytes).base64EncodedString()
    }

    /// A disc, a triangle or a square, so that the shape shows the level too.
    private static func icon(_ level: Verdict.Level) -> String {
        let form =
            switch level {
            case .good: "%3Ccircle cx='8' cy='8' r='7' fill='%231a7f37'/%3E"
            case .idle: "%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%236e7781' stroke-width='3'/%3E"
            case .attention: "%3Cpath d='M8 1l8 14H0z' fill='%23bf8700'/%3E"
            case .failing: "%3Cpath d='M1 1h14v14H1z' fill='%23cf222e'/%3E"
            }
        return "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\(form)%3C/svg%3E"
    }
}
