import FoundationEssentials
import NIOSSL
import Settings

/// The files of a certificate and its private key, in PEM.
struct TLSFiles {
    /// The server's certificate, followed by the intermediate certificates.
    let certificate: String
    let key: String

    /// Mozilla's intermediate list for TLS 1.2, without DHE, which BoringSSL does not have: forward secrecy and
    /// authenticated encryption only. Those of TLS 1.3 cannot be chosen, and all are such.
    private static let ciphers: [NIOTLSCipher] = [
        .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]

    /// nil when the settings name no files.
    init?(_ settings: Settings) throws(SettingsError) {
        switch (settings.text(.tlsCertificateFile), settings.text(.tlsKeyFile)) {
        case (nil, nil): return nil
        case (let certificate?, let key?):
            self.certificate = certificate
            self.key = key
        default: throw SettingsError("TLS_CERTIFICATE_FILE and TLS_KEY_FILE must both be set, or neither")
        }
    }

    /// Reads the pair and checks that the key belongs to the certificate.
    func load() throws(SettingsError) -> LiveCertificate.Pair {
        let chain = try read(certificate, .tlsCertificateFile) { try NIOSSLCertificate.fromPEMBytes($0) }
        guard let leaf = chain.first else {
            throw SettingsError("TLS_CERTIFICATE_FILE \(certificate): contains no certificate")
        }
        let key = try read(key, .tlsKeyFile) { try NIOSSLPrivateKey(bytes: $0, format: .pem) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuiteValues = Self.ciphers
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = .seconds(2)
        do {
            return LiveCertificate.Pair(
                context: try NIOSSLContext(configuration: configuration), validity: CertificateValidity(of: leaf))
        } catch {
            throw SettingsError(
                "TLS_KEY_FILE \(self.key) does not belong to the first certificate in \(certificate), or cannot be used "
                    + "with it: \(error)")
        }
    }

    private func read<Content>(
        _ path: String, _ setting: Setting, _ parse: ([UInt8]) throws -> Content
    ) throws(SettingsError) -> Content {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(path)
        } catch {
            throw SettingsError("\(setting.name) \(path): \(error)")
        }
        do {
            return try parse(bytes)
        } catch {
            throw SettingsError(
                "\(setting.name) \(path): not PEM, or of an unsupported kind, or protected by a passphrase")
        }
    }
}
