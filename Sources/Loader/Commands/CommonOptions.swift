import ArgumentParser
import Settings

/// The options that all commands have in common.
struct CommonOptions: ParsableArguments {
    @Option(help: "Directory of the spool (SPOOL_DIR).")
    var spool: String?
    @Option(help: "PostgreSQL, as URL or key/value list (DATABASE_URL).")
    var databaseURL: String?
    @Option(help: "File with NAME=value lines.")
    var envFile: String?

    func settings() throws(SettingsError) -> Settings {
        try Settings(flags: flags, file: envFile)
    }

    /// The valid settings. `problems` receives the others' errors.
    func settings(_ problems: inout [String]) -> Settings {
        Settings(flags: flags, file: envFile, problems: &problems)
    }

    private var flags: [String: String?] { ["SPOOL_DIR": spool, "DATABASE_URL": databaseURL] }
}
