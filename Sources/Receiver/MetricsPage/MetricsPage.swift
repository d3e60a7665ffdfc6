// MetricsPage: `/metrics`, in Prometheus' text format.
// Begin here.
// Uses Access, Commit, Devices, HTTP, Metrics, Statistics, Readings, Settings, Spool, Time.

import Commit
import Readings
import Settings
import Spool
import Time

/// `GET /metrics`: the current values for Prometheus; docs/MONITORING.md explains each family.
///
/// A scrape never queries the database and waits for the disk only for a moment. Unavailable metrics are omitted, and
/// `shelly_spool_readable` reports it.
struct MetricsPage: Sendable {
    private static let timeout = Duration.seconds(3)

    private let metrics: Metrics
    private let spoolState: SpoolState
    private let groupCommit: GroupCommit
    private let limits: SpoolWriter.Limits
    private let ledgerLimitBytes: Int
    private let certificate: LiveCertificate?
    private let devices: SingleFlight<DeviceCounts>
    private let spool: SingleFlight<SpoolStatistics>
    private let readiness: SingleFlight<Bool>

    init(
        metrics: Metrics, spoolState: SpoolState, groupCommit: GroupCommit, limits: SpoolWriter.Limits,
        ledgerLimitBytes: Int, certificate: LiveCertificate?, devices: DeviceSource, spool: SpoolStatisticsSource,
        readiness: Readiness
    ) {
        self.metrics = metrics
        self.spoolState = spoolState
        self.groupCommit = groupCommit
        self.limits = limits
        self.ledgerLimitBytes = ledgerLimitBytes
        self.certificate = certificate
        self.devices = SingleFlight(timeout: Self.timeout) { try? await devices.counts() }
        self.spool = SingleFlight(timeout: Self.timeout) { try? await spool.statistics() }
        self.readiness = SingleFlight(timeout: Self.timeout) { (try? await readiness.check()) != nil }
    }

    func text() async -> String {
        async let ready = readiness.value()
        async let counts = devices.value()
        let statistics = await spool.value()
        let isReady = await ready ?? false
        var page = PrometheusText()
        page.gauge(
            "shelly_build_info", "Always 1; the receiver's version and commit.", 1,
            [("version", Version.text), ("commit", Version.commit)])
        page.gauge("shelly_ready", "Whether the receiver takes batches and has room for more, as /readyz.", isReady)
        page.append(metrics.snapshot())
        append(spoolState.current, to: &page)
        if let counts = await counts { append(counts, to: &page) }
        page.gauge("shelly_spool_readable", "Whether the receiver could read the spool's directory.", statistics != nil)
        if let statistics { append(statistics, to: &page) }
        page.gauge(
            "shelly_tls_certificate_expiry_timestamp_seconds",
            "When the served certificate expires, +Inf if there is none.",
            certificate.map { Double($0.current.validity.end.unixSeconds) } ?? .infinity)
        if let process = ProcessFigures.read() { page.append(process) }
        return page.text
    }

    private func append(_ counts: DeviceCounts, to page: inout PrometheusText) {
        page.gauge(
            "shelly_devices_silent", "Devices without a message for DEVICE_SILENT_SECONDS.", counts.silent)
        page.gauge(
            "shelly_devices_without_readings",
            "Devices that are heard and have given no reading for DEVICE_SILENT_SECONDS.", counts.withoutReadings)
        page.gauge(
            "shelly_devices_without_meter",
            "Those of them whose messages never had a power; they are no fault.", counts.withoutMeter)
        page.gauge(
            "shelly_devices_energy_alone",
            "Those of them that report energy alone, as of a constant load; INGEST_POWER=energy takes it.",
            counts.energyAlone)
    }

    private func append(_ held: SpoolState.Content, to page: inout PrometheusText) {
        page.gauge("shelly_devices", "Devices with a message in the spool.", held.devices)
        page.gauge("shelly_ledger_bytes", "Memory of the ledger of minute keys.", held.ledgerBytes)
        page.gauge("shelly_ledger_limit_bytes", "Memory above which batches are refused.", ledgerLimitBytes)
        page.gauge(
            "shelly_spool_writable", "Whether the last attempt to write to the spool succeeded, in time.",
            held.failure == nil && !groupCommit.isStalled)
    }

    private func append(_ spool: SpoolStatistics, to page: inout PrometheusText) {
        page.gauge(
            "shelly_spool_segments", "Segments by folder.", by: "folder",
            [("pending", spool.pendingSegments), ("loaded", spool.loadedSegments)])
        page.gauge("shelly_spool_bytes", "Bytes of all segments.", spool.bytes)
        page.gauge(
            "shelly_spool_limit_bytes", "Bytes of all segments above which batches are refused, +Inf for no limit.",
            limits.spoolBytes.map { Double($0) } ?? .infinity)
        page.gauge(
            "shelly_spool_reserve_bytes", "Free bytes of the disk below which batches are refused.", limits.reserveBytes
        )
        page.gauge(
            "shelly_spool_disk_available_bytes", "Bytes that are free on the spool's disk.", spool.diskAvailableBytes)
        page.gauge(
            "shelly_spool_room_bytes", "Bytes that the spool may still take, by the disk's reserve and its own limit.",
            limits.room(availableBytes: spool.diskAvailableBytes, heldBytes: spool.bytes))
        page.gauge(
            "shelly_spool_backlog_segments", "Segments with records that are not loaded.", spool.backlog.segments)
        page.gauge("shelly_spool_backlog_bytes", "Bytes that are not loaded.", spool.backlog.bytes)
        page.gauge("shelly_spool_backlog_records", "Records that are not loaded.", spool.backlog.records)
        page.gauge(
            "shelly_spool_oldest_unloaded_seconds", "Age of the oldest record that is not loaded, 0 when all are.",
            spool.backlog.oldestAgeSeconds ?? 0)
        page.gauge(
            "shelly_dead_letter_bytes", "Bytes of dead letters, in rejected/.", spool.deadLetterBytes)
        page.timestamp(
            "shelly_loader_last_load_timestamp_seconds", "When the loader last made progress, 0 for never.",
            spool.lastLoad)
        page.timestamp(
            "shelly_loader_last_success_timestamp_seconds",
            "When the loader last went through the whole spool without a problem, 0 for never.", spool.lastDrain)
    }
}

extension PrometheusText {
    fileprivate mutating func append(_ counted: Metrics.Snapshot) {
        counter("shelly_batches_total", "Batches that were acknowledged.", counted.batches)
        counter("shelly_messages_total", "Messages of these batches.", counted.messages)
        counter(
            "shelly_invalid_messages_total", "Messages of lenient batches that were set aside.",
            counted.invalidMessages)
        counter(
            "shelly_readings_total", "Readings of these batches by outcome.", by: "outcome",
            [("inserted", counted.inserted), ("duplicate", counted.duplicates), ("error", counted.errors)])
        counter(
            "shelly_untaken_total",
            "Components with a power that became no reading, by type; INGEST_COMPONENTS says which are taken.",
            by: "component",
            UntakenComponent.ComponentType.allCases.map { ($0.rawValue, counted.untaken[$0, default: 0]) })
        counter(
            "shelly_messages_without_readings_total", "Valid messages of these batches that gave no reading.",
            counted.messagesWithoutReadings)
        counter(
            "shelly_refusals_total", "Batches and connections that were refused, by reason.", by: "reason",
            Rejection.Reason.allCases.map { ($0.rawValue, counted.refusals[$0, default: 0]) })
        timestamp(
            "shelly_last_batch_timestamp_seconds",
            "When the last acknowledged batch arrived, 0 for none since the start.", counted.lastBatchAt)
        histogram("shelly_ack_seconds", "Time from a batch's header to its acknowledgement.", counted.ack)
        histogram("shelly_group_batches", "Batches that became durable together.", counted.group)
        histogram("shelly_fdatasync_seconds", "Time of the fdatasync that made them durable.", counted.fdatasync)
    }

    fileprivate mutating func append(_ process: ProcessFigures) {
        counter("process_cpu_seconds_total", "Processor time in user and system mode.", process.cpuSeconds)
        gauge("process_resident_memory_bytes", "Memory that is resident.", process.residentMemoryBytes)
        gauge("process_virtual_memory_bytes", "Memory that is mapped.", process.virtualMemoryBytes)
        gauge("process_start_time_seconds", "When the process was started.", process.startTime)
        gauge("process_open_fds", "Open files, sockets included.", process.openFiles)
        gauge("process_max_fds", "Limit of open files.", process.maximumOpenFiles)
    }

    /// A point in time; 0 when there is none.
    fileprivate mutating func timestamp(_ name: String, _ help: String, _ time: Timestamp?) {
        gauge(name, help, Double(time?.unixMilliseconds ?? 0) / 1000)
    }
}
