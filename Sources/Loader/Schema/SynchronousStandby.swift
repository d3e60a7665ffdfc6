import Postgres

/// The standbys that a commit waits for.
enum SynchronousStandby {
    /// A sentence with the setting that names them, if fewer of them are connected than a commit waits for.
    static func missing(on connection: Connection) throws(PostgresError) -> String? {
        // A role without the right to see a standby's state sees that there is one.
        let rows = try connection.execute(
            """
            SELECT current_setting('synchronous_standby_names'), (
                SELECT count(*) FROM pg_stat_replication WHERE coalesce(sync_state, 'sync') IN ('sync', 'quorum'))
            WHERE current_setting('synchronous_commit') NOT IN ('off', 'local')
            """)
        guard rows.count > 0, let names = rows[0, 0], let connected = rows.integer(0, 1) else { return nil }
        let needed = needed(names)
        guard connected < needed else { return nil }
        let found = connected == 0 ? "no such standby is connected" : "only \(connected) of \(needed) are connected"
        return "synchronous_standby_names is '\(names)', and \(found)"
    }

    /// How many standbys a commit waits for: the number of `FIRST 2 (a, b)`, `ANY 2 (a, b)` or `2 (a, b)`, and 1 for a
    /// plain list, in which a name may be a number.
    static func needed(_ names: String) -> Int {
        guard names.contains(where: { !$0.isWhitespace }) else { return 0 }
        let list = /\s*(?:(?:FIRST|ANY)\s+)?(?<number>[0-9]+)\s*\(.*/.ignoresCase().dotMatchesNewlines()
        return names.wholeMatch(of: list).flatMap { Int($0.number) } ?? 1
    }
}
