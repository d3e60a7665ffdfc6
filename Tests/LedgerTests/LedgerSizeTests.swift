import Readings
import Settings
import Testing

@testable import Ledger

/// The ledger's memory for a fleet whose devices report each minute on four channels.
struct LedgerSizeTests {
    private static let devices = ["shellypro4pm-a8032ab1c2d0", "shellypro4pm-a8032ab1c2d1"]
    private static let channels = 4
    /// The upper bound for one day of a device's channel.
    private static let dayBytes = 80.0

    /// The minutes of a day that have a message.
    enum Day: CaseIterable {
        case firstMinute, firstHalf, whole, withGaps

        var minutes: [Int] {
            switch self {
            case .firstMinute: [0]
            case .firstHalf: Array(0..<720)
            case .whole: Array(0..<1440)
            case .withGaps: (0..<1440).filter { $0 % 97 != 5 && !(600..<660).contains($0) }
            }
        }
    }

    private let decoder = BatchDecoder()

    /// Adds a message of each device for each of these minutes of a day since 1970.
    private func add(_ minutes: [Int], of day: Int, to ledger: inout MinuteLedger) throws {
        var undoLog = MinuteLedger.UndoLog()
        let params = (0..<Self.channels).map { "\"switch:\($0)\":{\"apower\":1}" }.joined(separator: ",")
        for device in Self.devices {
            for first in stride(from: 0, to: minutes.count, by: 720) {
                let messages = minutes[first...].prefix(720).map { minute in
                    "{\"src\":\"\(device)\",\"timestamp\":\((day * 1440 + minute) * 60),\"params\":{\(params)}}"
                }
                let body = "{\"messages\":[\(messages.joined(separator: ","))]}"
                let batch = try decoder.decode(Array(body.utf8), receivedAt: 1_795_392_000_000)
                #expect(ledger.insert(batch, in: 1, undoLog: &undoLog) == (messages.count * Self.channels, 0))
            }
        }
    }

    @Test(arguments: Day.allCases) func aFurtherDayOfADevicesChannelUsesAtMost80Bytes(shape: Day) throws {
        var ledger = MinuteLedger()
        try add(shape.minutes, of: 1, to: &ledger)
        for day in 2...5 {
            let before = ledger.approximateBytes
            try add(shape.minutes, of: day, to: &ledger)
            let bytes = ledger.approximateBytes - before
            #expect(Double(bytes) / Double(Self.devices.count * Self.channels) <= Self.dayBytes)
        }
    }

    /// It includes a quarter of the device's name and of its last message.
    @Test(arguments: Day.allCases) func theFirstDayOfADevicesChannelUsesAtMost102Bytes(shape: Day) throws {
        var ledger = MinuteLedger()
        try add(shape.minutes, of: 1, to: &ledger)
        let bytes = Double(ledger.approximateBytes) / Double(Self.devices.count * Self.channels)
        #expect(bytes > Self.dayBytes && bytes <= 102)
    }

    /// The ledger refuses new devices from 7/8 of its limit on.
    @Test(arguments: [Day.whole, .withGaps])
    func theDefaultHasRoomFor500000DevicesOfTheDefaultRetention(shape: Day) throws {
        let limit = try #require(Setting.ledgerBytes.standard.flatMap { Int($0) })
        let retention = try #require(Setting.retentionSeconds.standard.flatMap { Int($0) })
        // The retention begins within a day, and its oldest segment may have messages from the day before.
        let days = retention / 86_400 + 2
        var ledger = MinuteLedger()
        for day in 1..<days { try add(shape.minutes, of: day, to: &ledger) }
        try add(Array(shape.minutes.prefix(720)), of: days, to: &ledger)
        let fleet = ledger.approximateBytes / Self.devices.count * 500_000
        #expect(!MinuteLedger.refusesNewDevices(at: fleet, of: limit), "\(fleet) bytes")
        #expect(fleet <= (shape == .whole ? 310_000_000 : 1_690_000_000))
    }
}
