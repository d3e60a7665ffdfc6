import ArgumentParser
import Postgres

struct StatsCommand: LoaderCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show the number of rows of the last 24 hours.")

    @OptionGroup var options: CommonOptions
    @Flag(help: "Print the same JSON as GET /api/stats/queue.")
    var json = false

    func execute() throws {
        let database = try options.settings().database()
        let statistics = try QueueStatistics.read(
            from: try database.connect(), table: database.table, timeout: database.statementTimeout)
        if json { return printJSON(statistics) }
        print(
            """
            Last \(statistics.period) of \(database.table.quoted)
              rows          \(statistics.totalLogs)
              from queue    \(statistics.fromQueue)
              devices       \(statistics.devices)
              last insert   \(statistics.lastInsert ?? "none")
            """)
    }
}
