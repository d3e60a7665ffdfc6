import Foundation
import Settings
import Testing

@testable import Receiver

struct APIDocsTests {
    private typealias Object = [String: Any]

    private static func document() throws -> Object {
        try #require(try JSONSerialization.jsonObject(with: Data(APIDocs.document.utf8)) as? Object)
    }

    @Test func documentAndPageNameTheVersionOfTheProgram() throws {
        let info = try #require(try Self.document()["info"] as? Object)
        #expect(info["version"] as? String == Version.text)
        #expect(APIDocs.page.markup.contains(", version \(Version.text)."))
    }

    @Test func timeOfTheExampleIsRecent() throws {
        let time = try #require(APIDocs.document.firstMatch(of: /"timestamp": (\d{10}),/).flatMap { Int($0.1) })
        #expect(abs(Date.now.timeIntervalSince1970 - Double(time)) < 86_400)
    }

    @Test func policyAllowsTheStyleOfThePage() throws {
        let markup = APIDocs.page.markup
        let styles = markup.matches(of: /<style>([^<]*)<\/style>/).map { HTML(markup: String($0.1)) }
        #expect(styles.count == 1 && !markup.contains("<link") && !markup.contains("<script"))
        #expect(APIDocs.contentSecurityPolicy.contains("style-src '\(HTMLPage.hash(try #require(styles.first)))';"))
    }

    @Test func everyOperationIsOnThePageWithAnExample() throws {
        let document = try Self.document()
        let html = APIDocs.page.markup
        let tags = Set((document["tags"] as? [[String: String]] ?? []).compactMap { $0["name"] })
        let paths = try #require(document["paths"] as? [String: [String: Object]])
        #expect(!tags.isEmpty && !paths.isEmpty)
        for (path, operations) in paths {
            for (method, operation) in operations {
                #expect(html.contains("<h3><code>\(method.uppercased()) \(path)</code></h3>"))
                let samples = operation["x-codeSamples"] as? [[String: String]] ?? []
                #expect(samples.contains { $0["source"]?.hasPrefix("curl ") == true }, "\(path)")
                #expect(Set(try #require(operation["tags"] as? [String])).isSubset(of: tags), "\(path)")
            }
        }
    }

    @Test func everyLinkHasATarget() {
        let html = APIDocs.page.markup
        let ids = html.matches(of: /id="([^"]+)"/).map(\.1)
        let links = html.matches(of: /href="#([^"]+)"/).map(\.1)
        #expect(!links.isEmpty)
        for link in links { #expect(ids.contains(link), "\(link)") }
        #expect(ids.count == Set(ids).count)
    }

    @Test func everyComponentIsUsedAndEveryUsedOneExists() throws {
        let components = try #require(try Self.document()["components"] as? [String: Object])
        let defined = components.filter { $0.key != "securitySchemes" }
            .flatMap { group, members in members.keys.map { "#/components/\(group)/\($0)" } }
        let used = APIDocs.document.matches(of: /"\$ref": "([^"]+)"/).map { String($0.1) }
        #expect(!used.isEmpty && Set(used) == Set(defined))
    }
}
