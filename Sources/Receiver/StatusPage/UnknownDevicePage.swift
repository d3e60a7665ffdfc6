import Time

/// The page for a device that neither the spool nor the database knows.
struct UnknownDevicePage: Sendable {
    let now: Timestamp

    var html: HTML {
        let verdict = Verdict(
            level: .attention, sentence: "Unknown device.",
            detail: "Neither the spool nor the database, if it answers, has a reading of it in this period.")
        return HTMLPage(
            title: "Unknown device · Shelly Collector", level: verdict.level, now: now,
            content: """
                <header><p class="up"><a href="/">Shelly Collector</a></p><h1>Unknown device</h1>\(HTMLPage.made(at: now))</header>
                <main><ul class="verdicts">\(verdict.html)</ul></main>
                """
        ).html
    }
}
