import Readings

/// What the ledger tells of its devices; asked between two groups, so each answer is a small piece.
extension MinuteLedger {
    /// A device and the newest minute of all its channels.
    struct Sighting: Sendable {
        /// The device's number in the ledger.
        let number: Int
        let device: DeviceID
        let lastMinute: Int64
    }

    /// Devices from a number on, as many as the time allows, and the number to go on from; nil when that was all.
    func sightings(from number: Int, for time: Duration) -> (found: [Sighting], next: Int?) {
        let end = ContinuousClock.now + time
        var found: [Sighting] = []
        var number = number
        while number < deviceNumbers {
            if let minute = lastMinute(of: number) {
                found.append(Sighting(number: number, device: name(of: number), lastMinute: minute))
            }
            number += 1
            if number.isMultiple(of: 128), ContinuousClock.now >= end { break }
        }
        return (found, number < deviceNumbers ? number : nil)
    }

    /// A copy of some devices' minutes on these days; a device that is not known is left out.
    func minutes(of devices: some Sequence<DeviceID>, on days: ClosedRange<Int64>) -> [DeviceMinutes] {
        devices.compactMap { device in
            guard let number = number(known: device) else { return nil }
            var isNewestFound = [false, false, false, false]
            var pages: [DeviceMinutes.Page] = []
            for page in newestPages(of: number) {
                guard days.contains(page.day) || !isNewestFound[page.channel], lastMinute(of: page) != nil else {
                    continue
                }
                isNewestFound[page.channel] = true
                pages.append(DeviceMinutes.Page(day: page.day, channel: page.channel, words: words(of: page)))
            }
            return pages.isEmpty ? nil : DeviceMinutes(device: device, pages: pages.reversed())
        }
    }

    private func lastMinute(of number: Int) -> Int64? {
        var newest: Int64?
        for page in newestPages(of: number) {
            if let newest, newest >= (page.day + 1) * Self.minutesPerDay { break }
            if let minute = lastMinute(of: page) { newest = max(newest ?? 0, minute) }
        }
        return newest
    }
}
