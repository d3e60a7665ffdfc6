import Glibc
import Postgres
import Spool
import SystemPackage

/// The right to drain a spool into the database, which one loader has at a time (invariant 10).
///
/// It is a row in the table `spool_lease`, and within a transaction also a lock. It needs no session, because a pooler
/// may give each transaction another one. A loader that ends without giving the lease back keeps others out for as long
/// as it would have been valid; a loader of the same spool's directory takes it over at once, since a file lock has made
/// sure that the former has ended.
struct SpoolLease {
    static let name = "spool_lease"
    /// For how long a lease is valid after it was last renewed, and after how long a loader at rest renews it.
    static let seconds = 30
    static let renewal = Duration.seconds(10)

    /// The spool's identity.
    let spool: String
    /// The machine and the directory, which tell a spool from its copy.
    let holder: String
    private let table: String

    init(of directory: SpoolDirectory, beside readings: TableName) {
        spool = directory.identity
        holder = Self.holder(of: directory.path)
        table = readings.quoted(Self.name)
    }

    /// Takes or renews the lease until the end of the caller's transaction and some time beyond. Returns false if another
    /// loader has it, or if a transaction of such a loader has not ended.
    func acquire(on connection: Connection) throws(PostgresError) -> Bool {
        try connection.execute(
            """
            INSERT INTO \(table) AS l (spool, holder, renewed_at)
            SELECT $1, $2, clock_timestamp() WHERE pg_try_advisory_xact_lock(hashtextextended($3, 0))
            ON CONFLICT (spool) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at
            WHERE l.holder = excluded.holder OR l.renewed_at < clock_timestamp() - interval '\(Self.seconds) s'
            """, [.text(spool), .text(holder), .text(spool)]
        ).affected == 1
    }

    /// Counts the time from now, at the end of a transaction that may have been long.
    func renew(on connection: Connection) throws(PostgresError) {
        _ = try connection.execute(
            "UPDATE \(table) SET renewed_at = clock_timestamp() WHERE spool = $1 AND holder = $2",
            [.text(spool), .text(holder)])
    }

    /// Gives the lease back, if this loader has it.
    func release(on connection: Connection) throws(PostgresError) {
        _ = try connection.query(
            "DELETE FROM \(table) WHERE spool = $1 AND holder = $2", [.text(spool), .text(holder)])
    }

    /// The loader that has a valid lease, or nil if none has one.
    func currentHolder(on connection: Connection) throws(PostgresError) -> String? {
        let rows = try connection.query(
            """
            SELECT holder FROM \(table)
            WHERE spool = $1 AND renewed_at >= clock_timestamp() - interval '\(Self.seconds) s'
            """, [.text(spool)])
        return rows.count > 0 ? rows[0, 0] : nil
    }

    private static func holder(of path: FilePath) -> String {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let host = name.prefix { $0 != 0 }.map { Character(Unicode.Scalar(UInt8(bitPattern: $0))) }
        var status = stat()
        let inode = stat(path.string, &status) == 0 ? status.st_ino : 0
        let resolved = realpath(path.string, nil)
        defer { free(resolved) }
        return "\(String(host)):\(resolved.map { String(cString: $0) } ?? path.string) (inode \(inode))"
    }
}
