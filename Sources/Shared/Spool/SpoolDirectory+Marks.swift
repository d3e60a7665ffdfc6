internal import SystemPackage
internal import Time

/// A mark is a small file of JSON that is replaced as a whole.
extension SpoolDirectory {
    func mark<Mark: Decodable>(_ type: Mark.Type, at path: FilePath) -> Mark? {
        guard let content = try? Self.contents(of: path, disk) else { return nil }
        return content.withUnsafeBytes { SegmentFormat.parse(type, $0) }
    }

    /// Replaces a mark's whole file.
    func write(_ mark: some Encodable, to target: FilePath, durably: Bool) throws(SpoolError) {
        let draft = path.appending((target.lastComponent?.string ?? "mark") + ".new")
        let content = SegmentFormat.line(mark)
        try Spool.disk("write", target) { () throws(Errno) in
            do throws(Errno) { try disk.remove(draft) } catch .noSuchFileOrDirectory {}
            let file = try disk.create(draft)
            try file.writeAll(content[...], at: 0)
            if durably { try file.synchronize() }
            try disk.rename(draft, to: target)
            if durably { try disk.synchronizeDirectory(path) }
        }
    }
}
