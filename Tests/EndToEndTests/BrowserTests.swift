import Foundation
import Seeds
import Testing

/// The pages of a real receiver in a real browser: their text in every state, and that no device's name runs as a
/// script.
@Suite(.serialized, .ownThread, .enabled(if: Rig.isComplete, "SHELLY_TEST_BIN names no built programs; run make test"))
struct BrowserTests {
    private let rig: Rig
    private let browser: Browser
    /// Taken at the test's start: all tests together take longer than the time after which a device counts as silent.
    private let newestMinute = Int(Date().timeIntervalSince1970) / 60
    /// Long enough that a device of a few minutes ago does not become silent during the test.
    private static let settings = ["DEVICE_SILENT_SECONDS": "18000"]

    init() throws {
        rig = try Rig(hasCluster: true)
        browser = Browser(rig: rig)
    }

    /// Opens a page until it matches `isSo`. Each part of the page has a timeout of two seconds, which a busy machine
    /// can exceed.
    private func open(
        _ path: String, seconds: Int = 1, until isSo: (Browser.View) -> Bool = { _ in true }
    ) throws -> Browser.View {
        let address = "http://127.0.0.1:\(rig.port)\(path)"
        var last: Browser.View?
        try rig.wait("\(path) never has the expected content; the last one: \(last?.text ?? "")") {
            let new = try browser.open(address, seconds: seconds)
            last = new
            return isSo(new)
        }
        let view = try #require(last)
        // No error and no violation of the content security policy, and no request to another address.
        #expect(view.console == [])
        #expect(view.requests.allSatisfy { $0.hasPrefix("http://127.0.0.1:\(rig.port)/") }, "\(view.requests)")
        return view
    }

    private static let hostile = [
        "<script>document.title='owned'</script>",
        "\"><img src=http://example.org/x.png onerror=document.title='owned'>",
        "\u{202E}gnp.live\u{202C}", String(repeating: "😀", count: 32), "a/b?c#d%2F&e=+", "..",
        "</title></style></script><svg onload=document.title='owned'>", "سخّان",
    ]

    private static func quoted(_ text: String) -> String {
        String(decoding: try! JSONEncoder().encode(text), as: UTF8.self)
    }

    private func batch(of devices: [String], minutesAgo: Int = 0, power: Double = 8.9) -> String {
        let messages = devices.map {
            "{\"src\":\(Self.quoted($0)),\"timestamp\":\((newestMinute - minutesAgo) * 60),"
                + "\"params\":{\"switch:0\":{\"apower\":\(power)},\"switch:2\":{\"apower\":1234}}}"
        }
        return "{\"messages\":[\(messages.joined(separator: ","))]}"
    }

    @Test func thePageOfAnEmptySpoolNamesWhatIsMissing() throws {
        try rig.startReceiver()
        let view = try open("/") { $0.title == "OK · Shelly Collector" }
        for text in [
            "no batch has come since the start", "Database is up to date: no record is pending.",
            "No device has reported yet.", "No readings in the last 24 hours.", "None yet.",
        ] { #expect(view.text.contains(text), "\(text)") }
        _ = try open("/?search=%22%3E%3Cscript%3E") { $0.text.contains("Devices with \"><script> in the name.") }
        let unknown = try rig.get("/devices/nobody") { $0.status != 503 }
        #expect(unknown.status == 404 && unknown.text.contains("Unknown device."))
    }

    @Test func thePageShowsAcceptedAndLoadedReadingsWithAndWithoutTheDatabase() throws {
        try rig.startReceiver(Self.settings)
        #expect(try rig.post(batch(of: ["plug-a", "plug-b"])).status == 200)
        #expect(try rig.post(batch(of: ["quiet"], minutesAgo: 400)).status == 200)
        #expect(try rig.post("{}", key: "wrong").status == 401)
        let waiting = try open("/") {
            $0.text.contains("Taking data: last batch ") && $0.text.contains(/Database is \d+ (s|min) behind\./)
                && $0.text.contains("1 of 3 devices is silent.") && $0.text.contains("readings in the last 24 hours")
        }
        #expect(waiting.text.contains("2 records"))
        #expect(waiting.title.hasPrefix("1 of 3 devices"))
        #expect(waiting.text.contains(/Key missing or wrong\s*1/))
        #expect(waiting.text.contains("6 readings in the last 24 hours"))
        // The silent device is first.
        let order = waiting.dom.matches(of: /href="\/devices\/([a-z-]+)"/).map { String($0.1) }
        #expect(order.suffix(3) == ["quiet", "plug-a", "plug-b"])

        try rig.expect(rig.load("drain"), status: 0)
        // The receiver queries the powers again every few seconds.
        try rig.wait("the powers are not shown") { try rig.get("/").text.contains("8.9 W") }
        let loaded = try open("/") {
            $0.text.contains("Database is up to date: no record is pending.") && $0.text.contains("8.9 W")
        }
        #expect(loaded.text.contains("6 rows") && loaded.text.contains("8.9 W") && loaded.text.contains("1.23 kW"))
        let day = try open("/devices/plug-a") { $0.text.contains("1 minute with a reading. 8.9 W") }
        #expect(day.title == "plug-a · Shelly Collector" && day.text.contains("Channel 0"))
        #expect(day.text.contains("1 minute with a reading. 8.9 W to 8.9 W, mean 8.9 W, last 8.9 W at "))
        #expect(day.text.contains("Channel 2") && !day.text.contains("Channel 1"))

        // The database is down: the page has only data from the spool.
        try rig.stopDatabase()
        #expect(try rig.post(batch(of: ["plug-a", "plug-b"], minutesAgo: 1)).status == 200)
        try rig.wait("the page still shows the old powers") { try !rig.get("/").text.contains("8.9 W") }
        let away = try open("/") {
            $0.title.hasPrefix("Database unavailable: 1 record is pending")
                && $0.text.contains("1 of 3 devices is silent.") && $0.text.contains("readings in the last 24 hours")
        }
        #expect(away.text.contains(/1 record is pending in the spool, for \d+ (s|min)\. Nothing is lost\./))
        #expect(away.text.contains("10 readings in the last 24 hours") && !away.text.contains("8.9 W"))
        try rig.wait("the page still shows the old powers") {
            try rig.get("/devices/plug-a").text.contains("Database unavailable")
        }
        let dayAway = try open("/devices/plug-a") { $0.text.contains("Database unavailable") }
        #expect(dayAway.text.contains("Database unavailable") && dayAway.text.contains("2 minutes with a reading"))
    }

    @Test func hostileNamesAreTextAndRunNoScript() throws {
        try rig.startReceiver(Self.settings)
        #expect(try rig.post(batch(of: Self.hostile)).count("inserted") == Self.hostile.count * 2)
        try rig.expect(rig.load("drain"), status: 0)
        // Long enough for the page's own script to refresh it, which is another way for a name to get into the page.
        let view = try open("/", seconds: 25) { view in
            let isSo = view.requests.count >= 2 && view.title == "OK · Shelly Collector"
            // Without a batch for five minutes the page would show a warning.
            if !isSo, (try? rig.post(batch(of: Self.hostile))) != nil { _ = try? rig.load("drain") }
            return isSo
        }
        for name in Self.hostile where !name.contains("\u{202E}") { #expect(view.text.contains(name), "\(name)") }
        #expect(view.text.contains("⟨U+202E⟩gnp.live⟨U+202C⟩"))
        #expect(!view.dom.contains("<img") && !view.dom.contains("<svg onload"))

        // The page's links lead to the devices.
        let links = Set(view.dom.matches(of: /href="(\/devices\/[^"]+)"/).map { String($0.1) })
        #expect(links.count == Self.hostile.count)
        for link in links {
            let day = try rig.get(link.replacing("&amp;", with: "&")) { $0.status != 503 }
            #expect(day.status == 200 && day.text.contains("Channel 2") && !day.text.contains("<img"), "\(link)")
        }
        let script = try open("/devices/%3Cscript%3Edocument.title%3D%27owned%27%3C%2Fscript%3E") {
            $0.text.contains(Self.hostile[0])
        }
        #expect(script.title.hasSuffix("· Shelly Collector"))
        _ = try open("/devices/?id=..") { $0.text.contains("Channel 0") }
    }

    /// A thousand devices in `make test-long`, 300 in `make test`.
    @Test func manyDevicesAreFoundByPagingAndSearching() throws {
        try rig.startReceiver(Self.settings)
        let (count, sentence) =
            Effort.isLong ? (1000, "120 of 1,000 devices are silent.") : (300, "120 of 300 devices are silent.")
        let names = (0..<count).map { "plug-\(10_000 + $0)" }
        #expect(try rig.post(batch(of: Array(names[..<120]), minutesAgo: 600)).status == 200)
        #expect(try rig.post(batch(of: Array(names[120...]))).status == 200)
        var seen: [String] = []
        var path: String? = "/"
        while let next = path, seen.count <= count {
            let page = try rig.get(next) { $0.text.contains(sentence) }
            #expect(page.status == 200)
            seen += page.text.matches(of: /<th scope="row"><a href="\/devices\/([^"]+)"/).map { String($0.1) }
            path = page.text.firstMatch(of: /rel="next" href="([^"#]+)/).map {
                String($0.1).replacing("&amp;", with: "&")
            }
        }
        #expect(seen == names)
        let found = try rig.get("/?search=G-1029") { $0.text.contains(sentence) }.text
        #expect(found.matches(of: /<th scope="row">/).count == 10 && !found.contains("rel=\"next\""))
    }

    @Test func aHangingDatabaseDelaysThePageByTwoSecondsAtMost() throws {
        let listener = try Listener()
        let settings = ["DATABASE_URL": "postgresql://nobody@127.0.0.1:\(listener.port)/nothing"]
        try rig.startReceiver(settings)
        #expect(try rig.post(batch(of: ["plug"])).status == 200)
        for path in ["/", "/devices/plug"] {
            let answer = try rig.get(path, within: 2.5, settings)
            #expect(answer.status == 200 && answer.text.contains("Database unavailable"), "\(path)")
        }
    }

    @Test func aPageThatCannotRefreshShowsIt() throws {
        try rig.startReceiver()
        _ = try open("/", seconds: 25) { $0.dom.contains(" role=\"status\" hidden") }
        // Opened from a file, the page cannot reach a server.
        let file = rig.directory + "/page.html"
        try rig.get("/").text.write(toFile: file, atomically: false, encoding: .utf8)
        try rig.wait("the page does not show that it is stale") {
            let view = try browser.open("file://" + file, seconds: 25)
            return view.dom.contains("<p id=\"stale\" role=\"status\">")
                && view.text.contains("could not be refreshed")
        }
    }

    @Test func pagesNeedReadAccessAndAreNotCached() throws {
        try rig.startReceiver(["READ_API_KEY": "reader-key-of-the-test"])
        for path in ["/", "/devices/plug"] {
            let refused = try rig.get(path)
            #expect(refused.status == 401 && refused.headers.contains("www-authenticate: basic"))
        }
        rig.stopReceiver()
        try rig.startReceiver()
        let page = try rig.get("/")
        for header in [
            "content-type: text/html; charset=utf-8", "content-security-policy: default-src 'none'; style-src 'sha256-",
            "x-content-type-options: nosniff", "referrer-policy: no-referrer", "cache-control: no-store",
        ] { #expect(page.headers.contains(header), "\(header)") }
        let head = try rig.run("/usr/bin/curl", ["-sSI", "-m", "\(Rig.hangSeconds)", "http://127.0.0.1:\(rig.port)/"])
        #expect(head.text.hasPrefix("HTTP/1.1 200") && !head.text.contains("<html"))
        #expect(try rig.get("/?silent=maybe").status == 422 && rig.get("/devices/plug?day=tomorrow").status == 422)
        let post = try rig.run(
            "/usr/bin/curl", ["-sS", "-m", "\(Rig.hangSeconds)", "-d", "x", "http://127.0.0.1:\(rig.port)/"])
        #expect(post.text.contains("Method Not Allowed"))
    }
}
