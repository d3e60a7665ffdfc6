import FoundationEssentials
import NIOSSL

/// The period in which a certificate is valid.
struct CertificateValidity: Sendable {
    let begin: Date
    let end: Date

    init(begin: Date, end: Date) {
        self.begin = begin
        self.end = end
    }

    init(of certificate: NIOSSLCertificate) {
        self.init(
            begin: Date(timeIntervalSince1970: Double(certificate.notValidBefore)),
            end: Date(timeIntervalSince1970: Double(certificate.notValidAfter)))
    }

    /// The problem that clients will have at that time, or soon after; nil when there is none.
    func fault(now: Date) -> String? {
        if now < begin { return "is not valid before \(begin.ISO8601Format())" }
        if now >= end { return "has expired at \(end.ISO8601Format())" }
        let days = Int(end.timeIntervalSince(now) / 86_400)
        return days < 7 ? "expires in \(days) days; renew it and send SIGHUP" : nil
    }
}
