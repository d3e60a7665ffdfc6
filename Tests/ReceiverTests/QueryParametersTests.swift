import Readings
import Testing

@testable import Receiver

struct QueryParametersTests {
    @Test func queriesOfFormsAndLinksAreDecodedAlike() throws {
        let parameters = try QueryParameters("search=a+b%2B&after=%C3%A9%2F%25&&flag&empty=&a=1&a=2=3")
        #expect(parameters["search"] == "a b+" && parameters["after"] == "é/%" && parameters["a"] == "2=3")
        #expect(parameters["flag"] == nil && parameters["empty"] == nil && parameters["nothing"] == nil)
        #expect(try QueryParameters(nil)["a"] == nil)
    }

    @Test(arguments: ["a=%", "a=%4", "a=%zz", "a=%FF", "a=%ED%A0%80", "a=%00", "%FF=1", "x=1&a=%C3"])
    func malformedPercentEncodingIsA422(query: String) {
        let rejection = #expect(throws: Rejection.self) { _ = try QueryParameters(query) }
        #expect(rejection?.json.text.contains(#""loc":["query"]"#) == true)
    }

    @Test(arguments: [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=-1", "limit"), ("limit=1.5", "limit"),
        ("limit=x", "limit"),
        ("limit=99999999999999999999", "limit"), ("silent=1", "silent"), ("silent=TRUE", "silent"),
        ("after=" + String(repeating: "x", count: 129), "after"),
        ("search=" + String(repeating: "%C3%A9", count: 65), "search"),
    ])
    func aParameterOutOfBoundsIsA422ThatNamesIt(query: String, name: String) throws {
        let parameters = try QueryParameters(query)
        let rejection = #expect(throws: Rejection.self) { _ = try DeviceQuery(parameters) }
        #expect(rejection?.json.text.contains("\"loc\":[\"query\",\"\(name)\"]") == true)
        #expect(rejection?.json.text.contains("xxxx") == false)
    }

    @Test func validParametersAreRead() throws {
        let query = try DeviceQuery(
            QueryParameters("limit=200&after=a%20b&search=%3Cscript%3E&silent=false&without_readings=true"))
        #expect(
            query == DeviceQuery(limit: 200, after: "a b", search: "<script>", isSilent: false, isWithoutReadings: true)
        )
        #expect(try DeviceQuery(QueryParameters("unknown=1")) == DeviceQuery())
    }

    @Test(arguments: ["plain", "a/b", "100%", "a+b c", "é😀", "\"><img src=x>", "..", "\u{202E}x", "?&#="])
    func namesAreReadBackFromAPath(name: String) {
        let encoded = name.percentEncoded
        #expect(encoded.utf8.allSatisfy { $0 < 0x7F && $0 > 0x20 } && !encoded.contains { "/?#&=+\"<>".contains($0) })
        #expect(String(percentEncoded: encoded[...]) == name)
    }
}
