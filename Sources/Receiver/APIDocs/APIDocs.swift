// APIDocs: `/openapi.json` and `/docs`, from the files in Resources.
// Begin here.
// Uses HTML, Settings, Time.

import CResources
import Settings
import Time

/// `GET /openapi.json` and `GET /docs`: the interface in OpenAPI 3.1, and as a page.
///
/// ops/dev/docs.py makes the page from the document. The page needs no script and loads nothing from elsewhere.
enum APIDocs {
    static let document = completed(shelly_openapi_json())

    static let page = HTML(
        markup: completed(shelly_docs_html())
            .replacing("<link rel=\"stylesheet\" href=\"docs.css\">", with: "<style>\(style.markup)</style>"))

    /// Allows only the page's style.
    static let contentSecurityPolicy = """
        default-src 'none'; style-src '\(HTMLPage.hash(style))'; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'none'
        """

    private static let style = HTML(markup: String(cString: shelly_docs_css()))

    /// A file with the values that are known only now: the version, and the time of the example, which is recent so
    /// that the status page shows the reading of a client that sends the example.
    private static func completed(_ file: UnsafePointer<CChar>) -> String {
        String(cString: file).replacing("@VERSION@", with: Version.text)
            .replacing("1795769141", with: "\(Timestamp.now.unixSeconds)")
    }
}
