import Postgres

/// The standbys that a commit waits for.
enum SynchronousStandby {
    /// The setting that names them, if none of them is connected. Every commit then waits for one.
    static func missing(on connection: Connection) throws(PostgresError) -> String? {
        // A role without the right to see a standby's state sees that there is one.
        let rows = try connection.execute(
            """
            SELECT current_setting('synchronous_standby_names') WHERE current_setting('synchronous_standby_names') <> ''
                AND current_setting('synchronous_commit') NOT IN ('off', 'local') AND NOT EXISTS (
                    SELECT FROM pg_stat_replication WHERE coalesce(sync_state, 'sync') IN ('sync', 'quorum'))
            """)
        return rows.count > 0 ? rows[0, 0] : nil
    }
}
