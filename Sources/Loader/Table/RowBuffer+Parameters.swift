import Postgres

extension RowBuffer {
    /// The rows at these indices as the arrays that `ReadingTable.statement` takes.
    func parameters(_ indices: some Sequence<Int32>) -> [Parameter] {
        var device = BinaryArray(.text)
        var channel = BinaryArray(.int4)
        var power = BinaryArray(.float8)
        var voltage = BinaryArray(.float8)
        var current = BinaryArray(.float8)
        var timestamp = BinaryArray(.timestamptz)
        var key = BinaryArray(.text)
        for index in indices {
            let row = rows[Int(index)]
            withDevice(of: row) { device.append(utf8: $0) }
            channel.append(Int32(row.channel))
            power.append(row.power)
            if let value = row.voltage { voltage.append(value) } else { voltage.appendNull() }
            if let value = row.current { current.append(value) } else { current.appendNull() }
            timestamp.append(unixSeconds: row.timestamp)
            withKey(of: row) { key.append(utf8: $0) }
        }
        return [device, channel, power, voltage, current, timestamp, key].map { .array($0) }
    }
}
