import ArgumentParser
import Glibc

extension ExitCode {
    /// EX_TEMPFAIL of sysexits.h: nothing is wrong here, the same will do later.
    static let databaseAway = ExitCode(EX_TEMPFAIL)
}
