import Foundation
import Testing

@testable import Settings

struct SettingsTests {
    private func refusal(
        flags: [String: String?] = [:], environment: [String: String] = [:], file: String? = nil
    ) throws -> String? {
        var path: String?
        if let file {
            path = NSTemporaryDirectory() + "settings-" + UUID().uuidString
            try file.write(toFile: path!, atomically: false, encoding: .utf8)
        }
        do {
            _ = try Settings(flags: flags, environment: environment, file: path)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func flagsTakePrecedenceOverTheEnvironment() throws {
        let settings = try Settings(flags: ["PORT": "1", "HOST": nil], environment: ["PORT": "2", "HOST": "::1"])
        #expect(settings.integer(.port) == 1)
        #expect(settings.text(.host) == "::1")
        #expect(settings.text(.spoolDirectory) == "./spool")
        #expect(settings.text(.ingestAPIKey) == nil)
    }

    @Test(arguments: [
        ["PORT": "x"], ["PORT": "65536"], ["LOG_LEVEL": "loud"], ["SPOOL_DIRECTORY": "x"], ["INGEST_APIKEY": "secret"],
    ])
    func wrongVariablesAreRefusedByName(environment: [String: String]) throws {
        let reason = try #require(try refusal(environment: environment))
        #expect(reason.contains(environment.keys.first!))
        #expect(!reason.contains("secret"))
    }

    @Test func variablesOfOtherProgramsAreIgnored() throws {
        #expect(try refusal(environment: ["PATH": "/bin", "EMPTY": "", "PORT": ""]) == nil)
    }

    /// Kubernetes sets these variables for Services named ingest, spool-disk and read-api.
    @Test(arguments: [
        ["INGEST_SERVICE_HOST": "10.0.0.1", "INGEST_SERVICE_PORT": "8080", "INGEST_SERVICE_PORT_HTTP": "8080"],
        ["INGEST_PORT": "tcp://10.0.0.1:8080", "INGEST_PORT_8080_TCP": "tcp://10.0.0.1:8080"],
        ["SPOOL_DISK_PORT_53_UDP_PROTO": "udp", "SPOOL_DISK_PORT_53_UDP_PORT": "53"],
        ["READ_API_PORT_9_SCTP_ADDR": "10.0.0.1"],
    ])
    func serviceVariablesOfKubernetesAreIgnored(environment: [String: String]) throws {
        #expect(try refusal(environment: environment) == nil)
    }

    @Test(arguments: [
        ["INGEST_PORT": "8080"], ["INGEST_PORT_TCP": "8080"], ["SPOOL_PORT_X_TCP": "x"], ["SPOOL_SERVICE": "x"],
        ["INGEST_PORT_8080": "tcp://10.0.0.1:8080"],
    ])
    func variablesThatOnlyResembleServiceVariablesAreRefused(environment: [String: String]) throws {
        #expect(try refusal(environment: environment)?.contains(environment.keys.first!) == true)
    }

    @Test func fileIsReadAndItsFaultsAreNamedByLine() throws {
        #expect(try refusal(file: "# comment\n\nPORT=1\nINGEST_API_KEY=\"a b\"\n") == nil)
        #expect(try refusal(file: "PORT=1\nPROT=2\n")?.contains("line 2: unknown setting 'PROT'") == true)
        // Other line breaks, and a byte order mark.
        let path = NSTemporaryDirectory() + "settings-" + UUID().uuidString
        try "\u{FEFF}# comment\r\nPORT=1\r\nINGEST_API_KEY=a\r\n".write(
            toFile: path, atomically: false, encoding: .utf8)
        let settings = try Settings(environment: [:], file: path)
        #expect(settings.integer(.port) == 1 && settings.text(.ingestAPIKey) == "a")
        #expect(try refusal(file: "nonsense")?.contains("line 1: expected NAME=value") == true)
    }

    @Test func theDocumentationNamesEverySettingWithItsDefault() throws {
        let root = #filePath.components(separatedBy: "/Tests/")[0]
        let page = try String(contentsOfFile: root + "/docs/CONFIGURATION.md", encoding: .utf8)
        for setting in Setting.all {
            let row = page.split(separator: "\n").first { $0.hasPrefix("| `\(setting.name)` |") }
            #expect(row?.contains(setting.purpose) == true, "\(setting.name)")
            if let standard = setting.standard { #expect(row?.contains("`\(standard)`") == true, "\(setting.name)") }
        }
    }
}
