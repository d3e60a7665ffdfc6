import Foundation
import Testing

@testable import Receiver

struct DocumentationPageTests {
    private static func page() throws -> (OpenAPIDocument, String) {
        let document = try OpenAPIDocument(json: OpenAPI.document)
        return (document, DocumentationPage(document: document).html.markup)
    }

    @Test func everyOperationIsOnThePageWithAnExample() throws {
        let (document, html) = try Self.page()
        let tags = Set(document.tags.map(\.name))
        #expect(!document.paths.isEmpty)
        for (path, operations) in document.paths {
            for (method, operation) in operations {
                #expect(html.contains("<h3><code>\(method.uppercased()) \(path)</code></h3>"))
                #expect(operation.samples.contains { $0.source.hasPrefix("curl ") }, "\(path)")
                #expect(Set(operation.tags).isSubset(of: tags), "\(path)")
                for referable in operation.responses.values {
                    #expect(document.resolve(referable, in: \.responses) != nil, "\(path)")
                }
            }
        }
    }

    @Test func everyLinkLeadsSomewhere() throws {
        let (_, html) = try Self.page()
        let targets = Set(html.matches(of: /id="([^"]+)"/).map(\.1))
        let links = html.matches(of: /href="#([^"]+)"/).map(\.1)
        #expect(!links.isEmpty)
        for link in links { #expect(targets.contains(link), "\(link)") }
        #expect(html.matches(of: /id="([^"]+)"/).count == targets.count)
    }

    @Test func everyComponentIsUsed() throws {
        let document = try OpenAPIDocument(json: OpenAPI.document)
        for (kind, names) in [
            ("schemas", Array(document.components.schemas.keys)),
            ("responses", Array(document.components.responses.keys)),
            ("headers", Array(document.components.headers.keys)),
        ] {
            for name in names { #expect(OpenAPI.document.contains("\"#/components/\(kind)/\(name)\""), "\(name)") }
        }
    }
}
