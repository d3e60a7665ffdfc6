import Glibc
import Message
import Spool
import SystemPackage

// fill SPOOL TEMPLATE MESSAGES DEVICES RUN MINUTES: appends batches of 100 messages to a spool, as the receiver would have,
// at the speed of the disk. A device's messages are MINUTES apart.

let arguments = CommandLine.arguments
guard arguments.count == 7, let messages = Int(arguments[3]), let devices = Int(arguments[4]),
    let run = Int(arguments[5]), let minutes = Int(arguments[6])
else {
    print("usage: fill SPOOL TEMPLATE MESSAGES DEVICES RUN MINUTES")
    exit(64)
}

/// Messages of a batch, and batches that become durable together.
let batchMessages = 100
let groupBatches = 40

let file = try FileDescriptor.open(FilePath(arguments[2]), .readOnly)
let template = try [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
}
let directory = try SpoolDirectory(creating: FilePath(arguments[1]))
let writer = SpoolWriter(directory: directory, newest: try directory.segments().last?.number ?? 0)
var batch = MessageBatch(template: template, messages: batchMessages, devices: devices, run: run, minutes: minutes)
var left = messages / batchMessages
while left > 0 {
    let group = (0..<min(left, groupBatches)).map { _ in
        batch.advance()
        return NewRecord(receivedAt: Int64(time(nil)) * 1000, body: batch.body[...])
    }
    _ = try writer.append(group)
    left -= group.count
}
writer.seal()
