import ArgumentParser

struct MigrateCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Create the table, its indexes and the loader's own tables where they do not exist.",
        discussion: """
            Can be repeated, also on a large live table with other writers: indexes are then built \
            concurrently, and rows without an idempotency key stay unchanged.
            """)

    @OptionGroup var options: CommonOptions
    @Flag(name: .customLong("print"), help: "Print the SQL and change nothing.")
    var printOnly = false
    @Option(
        help: ArgumentHelp(
            "Partition a new table by day, week or month. The loader makes further partitions of that width.",
            valueName: "width"))
    var partition: PartitionWidth?

    func execute() throws {
        let database = try options.settings().database()
        if printOnly { return print(Migrator.sql(for: database.table, partitions: partition), terminator: "") }
        let shutdown = ShutdownSignal()
        let signals = shutdown.watchSignals()
        defer { withExtendedLifetime(signals) {} }
        try Migrator(database: database, partitions: partition, report: { print($0) }, shutdown: shutdown).run()
    }
}

extension PartitionWidth: ExpressibleByArgument {}
