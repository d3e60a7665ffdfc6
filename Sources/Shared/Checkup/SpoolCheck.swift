internal import Glibc
public import Spool
public import SystemPackage

/// Checks that a spool exists and that this process may use it. It takes no lock, and creates and changes nothing.
public struct SpoolCheck {
    private let path: FilePath
    private let role: SpoolLock.Role
    private static let subject = "spool"
    private static let rights = "spool rights"
    /// Maximum number of segments to check, the newest first.
    private static let looked = 1000

    /// - Parameter role: the program for which the spool is checked.
    public init(_ path: FilePath, for role: SpoolLock.Role) {
        self.path = path
        self.role = role
    }

    /// Adds the results, and returns the spool if it is usable.
    public func run(_ checkup: inout Checkup) -> SpoolDirectory? {
        guard let status = Self.status(of: path) else {
            checkup.add(absent())
            return nil
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            checkup.add(.fail(Self.subject, "\(path) is not a directory", do: "set SPOOL_DIR to the spool's directory"))
            return nil
        }
        let directory: SpoolDirectory
        do {
            directory = try SpoolDirectory(existing: path)
        } catch {
            checkup.add(unusable(error))
            return nil
        }
        checkup.add(.ok(Self.subject, "\(path), identity \(directory.identity)"))
        checkup.add(rightsResult(directory, status))
        checkup.add(holder(.receiver))
        checkup.add(holder(.loader))
        return directory
    }

    /// Reports that there is no spool at the path. The receiver creates it if it has the permissions.
    private func absent() -> CheckResult {
        guard role == .receiver else {
            return .warn(
                Self.subject, "there is none at \(path)", do: "start the receiver, which creates it, or set SPOOL_DIR")
        }
        var parent = path
        while Self.status(of: parent) == nil, parent.lastComponent != nil {
            parent.removeLastComponent()
            if parent.isEmpty { parent = "." }
        }
        guard Self.may(W_OK | X_OK, parent) else {
            return .fail(
                Self.subject,
                "there is none at \(path), and user \(Self.userName(geteuid())) may not create one in \(parent)",
                do: "create the directory and give it to that user (chown)")
        }
        return .ok(Self.subject, "there is none at \(path) yet; the receiver creates it at its start")
    }

    private func unusable(_ error: SpoolError) -> CheckResult {
        if case .disk(_, _, let cause) = error {
            return .fail(
                Self.subject, error.description,
                do: cause == .permissionDenied
                    ? "run this as the spool's owner, or give the directory to \(Self.userName(geteuid())) (chown -R)"
                    : "check the disk (dmesg)")
        }
        let pending = (try? SystemDisk().names(in: path.appending("pending"))) ?? []
        if case .unfit(let place, _) = error, place == path, pending.isEmpty {
            return absent()
        }
        return .fail(
            Self.subject, error.description,
            do: "restore spool.json: {\"format\",\"version\",\"spool\"} as in the first line of a segment")
    }

    private func rightsResult(_ directory: SpoolDirectory, _ status: stat) -> CheckResult {
        let user = Self.userName(geteuid())
        let folders = [path, directory.pending, directory.loaded, directory.rejected, directory.ledger]
        for folder in folders {
            guard Self.status(of: folder) != nil else {
                return .fail(
                    Self.rights, "\(folder) is missing",
                    do: "start the receiver, which creates missing folders")
            }
            guard Self.may(R_OK | W_OK | X_OK, folder) else {
                return .fail(
                    Self.rights, "user \(user) may not read and write \(folder)",
                    do: "give the spool to the user that both programs run as (chown -R USER \(path))")
            }
        }
        for (file, mode) in files(directory) where !Self.may(mode, file) && Self.status(of: file) != nil {
            return .fail(
                Self.rights, "user \(user) may not \(mode == R_OK ? "read" : "write") \(file)",
                do: "give the spool to the user that both programs run as (chown -R USER \(path)); "
                    + "a command that ran as root may have created it")
        }
        let modes = folders.compactMap { folder in Self.status(of: folder).map { ($0.st_mode & 0o777, folder) } }
        if let open = modes.first(where: { $0.0 & 0o002 != 0 }) {
            return .fail(
                Self.rights, "every user of this machine may write \(open.1) (mode \(String(open.0, radix: 8)))",
                do: "chmod -R o-rwx \(path)")
        }
        if geteuid() == 0, status.st_uid != 0 {
            return .warn(
                Self.rights, "this ran as root; the spool belongs to \(Self.userName(status.st_uid))",
                do: "run it as that user to check that user's rights: runuser -u \(Self.userName(status.st_uid)) -- …")
        }
        if modes[0].0 & 0o005 != 0 {
            return .warn(
                Self.rights, "every user of this machine may read \(path) (mode \(String(modes[0].0, radix: 8)))",
                do: "chmod o-rwx \(path), unless that is intended")
        }
        return .ok(Self.rights, "user \(user) may read and write all of the spool")
    }

    /// Files that must be readable or writable, in addition to the folders.
    private func files(_ directory: SpoolDirectory) -> [(FilePath, CInt)] {
        let locks = ["receiver.lock", "loader.lock"].map { (path.appending($0), R_OK | W_OK) }
        let segments = (try? directory.segments())?.suffix(Self.looked).map { ($0.path, R_OK) } ?? []
        return locks + segments
    }

    private func holder(_ role: SpoolLock.Role) -> CheckResult {
        guard let holder = SpoolLock.holder(of: role, in: path) else {
            return .ok("\(role)", "none uses this spool now")
        }
        return .ok("\(role)", "process \(holder) uses this spool")
    }

    private static func status(of path: FilePath) -> stat? {
        var status = stat()
        return stat(path.string, &status) == 0 ? status : nil
    }

    private static func may(_ mode: CInt, _ path: FilePath) -> Bool {
        faccessat(AT_FDCWD, path.string, mode, CInt(AT_EACCESS)) == 0
    }

    private static func userName(_ user: uid_t) -> String {
        guard let entry = getpwuid(user) else { return "\(user)" }
        return String(cString: entry.pointee.pw_name)
    }
}
