extension Int64 {
    package static let minutesPerDay: Int64 = 1440
}
