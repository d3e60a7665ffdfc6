import Foundation

extension Process {
    /// Starts it with its standard error in a new file, and its standard output as well if wanted.
    ///
    /// This process's descriptor of the file is closed at once. A `Process` is released late, and with some 1,350 open
    /// files Foundation cannot start another one.
    func run(writingErrorsTo path: String, andOutput: Bool = false) throws {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        standardError = file
        standardOutput = andOutput ? file : FileHandle.nullDevice
        try run()
        try file.close()
    }
}
