import NIOSSL
import Time

/// The period in which a certificate is valid.
struct CertificateValidity: Sendable {
    let begin: Timestamp
    let end: Timestamp

    init(begin: Timestamp, end: Timestamp) {
        self.begin = begin
        self.end = end
    }

    init(of certificate: NIOSSLCertificate) {
        self.init(
            begin: Timestamp(unixSeconds: Int64(certificate.notValidBefore)),
            end: Timestamp(unixSeconds: Int64(certificate.notValidAfter)))
    }

    /// The problem that clients will have at that time, or soon after; nil when there is none.
    func fault(now: Timestamp) -> String? {
        if now < begin { return "is not valid before \(begin.text(.seconds))Z" }
        if now >= end { return "has expired at \(end.text(.seconds))Z" }
        let days = Int((end - now) / .seconds(86_400))
        return days < 7 ? "expires in \(days == 1 ? "1 day" : "\(days) days"); renew it and send SIGHUP" : nil
    }
}
