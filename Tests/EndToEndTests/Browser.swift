import Foundation

/// Headless Chromium. It opens a page and returns its content, its console messages and its requests; no other address
/// can be resolved.
struct Browser {
    private static let path = "/usr/bin/chromium"

    let rig: Rig

    struct View {
        /// The page after its scripts have run.
        let dom: String
        /// The messages of the browser's console.
        let console: [String]
        /// The requests of the page itself, without the one that opened it.
        let requests: [String]

        var title: String { dom.firstMatch(of: /<title>(.*?)<\/title>/).map { String($0.1) } ?? "" }

        /// The page's text, without markup.
        var text: String {
            dom.replacing(/<(style|script)>[\s\S]*?<\/(style|script)>/, with: "").replacing(/<[^>]*>/, with: "")
                .replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
                .replacing("&amp;", with: "&")
        }
    }

    /// Opens a page and lets its scripts run for so many seconds of virtual time.
    func open(_ address: String, seconds: Int = 1) throws -> View {
        let directory = rig.directory + "/browser-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let output = try rig.run(
            "/bin/sh",
            [
                "-c", "exec timeout -k 1 600 \"$0\" \"$@\" 2>'\(directory)/log'", Self.path, "--headless",
                "--no-sandbox",
                "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--user-data-dir=\(directory)/profile",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--log-net-log=\(directory)/net.json",
                "--enable-logging=stderr", "--v=0", "--virtual-time-budget=\(seconds * 1000)", "--dump-dom", address,
            ], environment: ["HOME": directory])
        let log = try String(contentsOfFile: directory + "/log", encoding: .utf8)
        guard output.status == 0, output.text.contains("</html>") else {
            throw Rig.Failure(description: "chromium ended with \(output.status): \(log.suffix(2000))")
        }
        return View(
            dom: output.text, console: log.split(separator: "\n").filter { $0.contains("CONSOLE") }.map(String.init),
            requests: try Self.requests(directory + "/net.json", of: address))
    }

    /// The requests from the page's origin. Chromium's requests for itself have another one.
    private static func requests(_ file: String, of address: String) throws -> [String] {
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file)))
        guard let log = json as? [String: Any], let events = log["events"] as? [[String: Any]],
            let types = (log["constants"] as? [String: Any])?["logEventTypes"] as? [String: Int],
            let start = types["URL_REQUEST_START_JOB"]
        else { throw Rig.Failure(description: "the network log of chromium cannot be read") }
        let origin = address.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).prefix(3)
            .enumerated().map { $0.offset == 2 ? String($0.element.prefix { $0 != "/" }) : String($0.element) }
            .joined(separator: "/")
        return events.filter { $0["type"] as? Int == start }.compactMap { $0["params"] as? [String: Any] }
            .filter { $0["initiator"] as? String == origin }.compactMap { $0["url"] as? String }
    }
}
