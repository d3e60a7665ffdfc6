import HTTPTypes
import Hummingbird
import Readings

/// `GET /api/devices` and `/api/devices/{id}`.
struct DeviceHandler: Sendable {
    private static let path = "/api/devices"

    /// Whether the path is that of the list or of a device.
    static func isPath(_ path: String) -> Bool { path == Self.path || path.hasPrefix(Self.path + "/") }

    let source: DeviceSource

    /// Answers a request for one of these paths.
    func respond(to request: Request) async throws -> Response {
        let parameters = try QueryParameters(request.uri.query)
        let name = request.uri.path.dropFirst(Self.path.count)
        // Device data reveals who is at home, so no cache may store it.
        let headers: HTTPFields = [.cacheControl: "no-store"]
        guard name.count > 1 else {
            guard name.isEmpty else { throw Rejection.notFound }
            return .json(try await source.page(DeviceQuery(parameters)).json, headers: headers)
        }
        guard let name = String(percentEncoded: name.dropFirst()) else {
            throw Rejection([InvalidInput("value_error", at: [.member("path")], "Path is not percent-encoded UTF-8")])
        }
        let day = try parameters.day("day")
        guard let id = try? DeviceID(name), let found = try await source.day(of: id, day) else {
            throw Rejection.notFound
        }
        return .json(found.json, headers: headers)
    }
}
