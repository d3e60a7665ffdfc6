package import Readings

/// Queries for devices. They run between two groups, so each one does a small piece of the work.
extension MinuteLedger {
    /// A device, its newest message, and the newest minute of all its channels.
    package struct LastSeen: Sendable {
        /// The device's number in the ledger.
        package let number: Int
        package let device: DeviceID
        package let last: LastMessage
        /// nil when none of the device's messages gave a reading.
        package let lastMinute: Int64?
    }

    /// Returns devices from a number on, as many as the time allows, and the number to continue from; nil after the
    /// last.
    package func lastSeen(from number: Int, for time: Duration) -> (found: [LastSeen], next: Int?) {
        let end = ContinuousClock.now + time
        var found: [LastSeen] = []
        var number = number
        while number < deviceNumbers {
            if let last = lastMessage(of: number) {
                found.append(
                    LastSeen(number: number, device: name(of: number), last: last, lastMinute: lastMinute(of: number)))
            }
            number += 1
            if number.isMultiple(of: 128), ContinuousClock.now >= end { break }
        }
        return (found, number < deviceNumbers ? number : nil)
    }

    /// Copies the minutes of some devices on these days; an unknown device is left out.
    package func minutes(of devices: some Sequence<DeviceID>, on days: ClosedRange<Int64>) -> [DeviceMinutes] {
        devices.compactMap { device in
            guard let number = number(known: device), let last = lastMessage(of: number) else { return nil }
            var isNewestFound = [false, false, false, false]
            var channelDays: [DeviceMinutes.ChannelDay] = []
            for page in newestPages(of: number) {
                guard days.contains(page.day) || !isNewestFound[page.channel], lastMinute(of: page) != nil else {
                    continue
                }
                isNewestFound[page.channel] = true
                channelDays.append(
                    DeviceMinutes.ChannelDay(day: page.day, channel: page.channel, words: words(of: page)))
            }
            return DeviceMinutes(device: device, last: last, channelDays: channelDays.reversed())
        }
    }

    private func lastMinute(of number: Int) -> Int64? {
        var newest: Int64?
        for page in newestPages(of: number) {
            if let newest, newest >= (page.day + 1) * .minutesPerDay { break }
            if let minute = lastMinute(of: page) { newest = max(newest ?? 0, minute) }
        }
        return newest
    }
}
