public import SystemPackage

/// A spool failure: the operation, the object and the cause.
public enum SpoolError: Error, CustomStringConvertible, Sendable {
    /// A file operation failed.
    case disk(_ operation: String, _ path: FilePath, Errno)
    /// The file system has less free space than the reserve that must stay free.
    case full(_ path: FilePath, availableBytes: Int, reserveBytes: Int)
    /// The segments together have reached their size limit.
    case overLimit(_ path: FilePath, bytes: Int, limitBytes: Int)
    /// Another process of the same kind uses this spool.
    case inUse(_ path: FilePath, by: String)
    /// The directory or a file in it does not have the expected contents.
    case unfit(_ path: FilePath, String)

    public var description: String {
        switch self {
        case .disk(let operation, let path, let cause): "cannot \(operation) \(path): \(cause)"
        case .full(let path, let available, let reserve):
            "spool \(path) is full: \(available) bytes free, \(reserve) kept in reserve; free or enlarge the disk"
        case .overLimit(let path, let bytes, let limit):
            "spool \(path) is full: its segments have \(bytes) bytes, and SPOOL_BYTES allows \(limit); let the loader catch up, "
                + "shorten the retention or raise SPOOL_BYTES"
        case .inUse(let path, let holder): "spool \(path) is in use by \(holder); a spool takes one at a time"
        case .unfit(let path, let reason): "\(path): \(reason)"
        }
    }
}

/// Runs one disk operation, and adds its name and path to the error if it fails.
func disk<T>(
    _ operation: String, _ path: FilePath, _ body: () throws(Errno) -> T
) throws(SpoolError) -> T {
    do throws(Errno) {
        return try body()
    } catch {
        throw .disk(operation, path, error)
    }
}

/// The same for a file that may be gone: nil when it is.
func diskIfPresent<T>(
    _ operation: String, _ path: FilePath, _ body: () throws(Errno) -> T
) throws(SpoolError) -> T? {
    do throws(Errno) {
        return try body()
    } catch .noSuchFileOrDirectory {
        return nil
    } catch {
        throw .disk(operation, path, error)
    }
}
