import Logging
import Settings

/// The live keys and certificate: read at start, and again at every SIGHUP.
///
/// At start, a fault in any of them is an error. On SIGHUP, each of them stays active until a new one can be read, so
/// that a mistake in a file locks no client out.
struct Secrets: Sendable {
    let ingestKeys: LiveKeys
    let readKeys: LiveKeys
    /// nil when the receiver serves plain HTTP, such as behind a proxy.
    let certificate: LiveCertificate?
    private let logger: Logger

    init(_ settings: Settings, logger: Logger) throws(SettingsError) {
        self.logger = logger
        ingestKeys = LiveKeys(try KeySource.ingest.keys(settings))
        readKeys = LiveKeys(try KeySource.read.keys(settings))
        certificate = try TLSFiles(settings).map { files throws(SettingsError) in
            LiveCertificate(try Self.certificate(files, logger))
        }
        if ingestKeys.isEmpty {
            logger.error("no ingest key is configured (INGEST_API_KEY): every batch will be refused with 500")
        } else {
            logCount(of: ingestKeys, .ingest)
        }
        if readKeys.isEmpty {
            logger.info("no READ_API_KEY is configured: device data and metrics are served only on loopback")
        } else {
            logCount(of: readKeys, .read)
        }
        warnOfSharedKeys()
        warnOfOpenFiles(settings)
    }

    /// Reads the keys and the certificate again.
    ///
    /// - Parameter settings: the process's settings, whose file may have changed as well.
    func reload(_ settings: () throws -> Settings) {
        do {
            let settings = try settings()
            reload(ingestKeys, .ingest, settings)
            reload(readKeys, .read, settings)
            warnOfSharedKeys()
            reloadCertificate(settings)
        } catch {
            logger.error("SIGHUP: keys and certificate are unchanged: \(error)")
        }
    }

    private func reload(_ keys: LiveKeys, _ source: KeySource, _ settings: Settings) {
        do throws(SettingsError) {
            let configured = try source.keys(settings)
            guard !configured.isEmpty || keys.isEmpty else {
                throw SettingsError("no key is configured any more; to run without one, restart")
            }
            keys.replace(with: configured)
            logCount(of: keys, source)
        } catch {
            logger.error("SIGHUP: the \(source.kind) keys are unchanged (\(keys.count)): \(error)")
        }
    }

    private func reloadCertificate(_ settings: Settings) {
        guard let certificate else { return }
        do throws(SettingsError) {
            guard let files = try TLSFiles(settings) else {
                throw SettingsError("no certificate is configured any more; to serve plain HTTP, restart")
            }
            certificate.replace(with: try Self.certificate(files, logger))
        } catch {
            logger.error("SIGHUP: the TLS certificate is unchanged: \(error)")
        }
    }

    private static func certificate(_ files: TLSFiles, _ logger: Logger) throws(SettingsError) -> LiveCertificate.Pair {
        let pair = try files.load()
        logger.info(
            "TLS certificate is active",
            metadata: ["file": "\(files.certificate)", "expires": "\(pair.validity.end.text(.seconds))Z"])
        if let fault = pair.validity.fault(now: .now) {
            logger.warning("TLS certificate \(files.certificate) \(fault)")
        }
        return pair
    }

    /// Logs the number of keys, never the keys themselves.
    private func logCount(of keys: LiveKeys, _ source: KeySource) {
        logger.info("\(keys.count) \(source.kind) \(keys.count == 1 ? "key" : "keys") active")
    }

    /// Warns of key files that every user can read; only at start, since that is when files are put in place.
    private func warnOfOpenFiles(_ settings: Settings) {
        for setting in [Setting.ingestAPIKeyFile, .readAPIKeyFile, .tlsKeyFile] {
            guard let path = settings.text(setting), SmallFile.isReadableForEverybody(path) else { continue }
            logger.warning("\(setting.name) \(path) can be read by every user of this machine: chmod o-r it")
        }
    }

    private func warnOfSharedKeys() {
        guard ingestKeys.overlap(readKeys) else { return }
        logger.warning("an ingest key is a read key as well: clients that send batches may read all device data")
    }
}
