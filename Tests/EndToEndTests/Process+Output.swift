import Foundation

extension Process {
    enum Streams { case output, errors, both }

    /// Starts the process with these of its standard streams in a new file, and the other one discarded.
    ///
    /// This process's descriptor of the file is closed at once. A `Process` is released late, and with some 1,350 open
    /// files Foundation cannot start another one.
    func run(writing streams: Streams, to path: String) throws {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        standardError = streams == .output ? FileHandle.nullDevice : file
        standardOutput = streams == .errors ? FileHandle.nullDevice : file
        try run()
        try file.close()
    }
}
