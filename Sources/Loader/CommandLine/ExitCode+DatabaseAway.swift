import ArgumentParser
import Glibc

extension ExitCode {
    /// EX_TEMPFAIL of sysexits.h: a temporary failure; the same command may succeed later.
    static let databaseAway = ExitCode(EX_TEMPFAIL)
}
