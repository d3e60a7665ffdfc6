import Glibc

/// The process's limit of open files, sockets included (getrlimit(2) `RLIMIT_NOFILE`).
enum OpenFiles {
    /// Files that are reserved for the spool, the database and the process itself; connections use all others.
    static let reserved = 64

    struct TooFew: Error, CustomStringConvertible {
        let limit: Int
        var description: String {
            "the process may open only \(limit) files; at least \(2 * OpenFiles.reserved) are needed: raise ulimit -n "
                + "(LimitNOFILE= in the unit)"
        }
    }

    /// Raises the soft limit to the hard limit and returns it; by tradition only the soft limit is low.
    static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        var raised = limit
        raised.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        return Int(clamping: limit.rlim_cur)
    }
}
