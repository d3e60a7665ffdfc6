import FoundationEssentials

/// The parts of the OpenAPI document that its page shows.
struct OpenAPIDocument: Decodable {
    struct Info: Decodable {
        let title: String
        let version: String
        let summary: String
        let description: String
    }

    struct Tag: Decodable {
        let name: String
        let description: String
    }

    struct Operation: Decodable {
        struct Sample: Decodable {
            let source: String
        }

        let operationId: String
        let tags: [String]
        let summary: String
        let description: String?
        /// Alternative requirements for access, by the names of security schemes; an empty one requires nothing.
        let security: [[String: [String]]]
        let parameters: [Parameter]?
        let requestBody: Body?
        let responses: [String: Referable<Answer>]
        let samples: [Sample]

        private enum CodingKeys: String, CodingKey {
            case operationId, tags, summary, description, security, parameters, requestBody, responses
            case samples = "x-codeSamples"
        }
    }

    struct Parameter: Decodable {
        let name: String
        let `in`: String
        let required: Bool
        let description: String
        let schema: OpenAPISchema
    }

    struct Body: Decodable {
        let description: String
        let content: [String: Content]
    }

    struct Content: Decodable {
        let schema: OpenAPISchema
    }

    struct Answer: Decodable {
        let description: String
        let headers: [String: Referable<Header>]?
        let content: [String: Content]
    }

    struct Header: Decodable {
        let description: String?
    }

    struct SecurityScheme: Decodable {
        let description: String
    }

    struct Components: Decodable {
        let securitySchemes: [String: SecurityScheme]
        let headers: [String: Header]
        let responses: [String: Answer]
        let schemas: [String: OpenAPISchema]
    }

    let info: Info
    let tags: [Tag]
    /// Operations by path and method.
    let paths: [String: [String: Operation]]
    let components: Components

    init(json: String) throws { self = try JSONDecoder().decode(Self.self, from: Data(json.utf8)) }

    /// The value itself, or the value to which the reference points.
    func resolve<Value>(_ referable: Referable<Value>, in named: KeyPath<Components, [String: Value]>) -> Value? {
        switch referable {
        case .here(let value): value
        case .reference(let name): components[keyPath: named][name]
        }
    }
}

/// A value, or the name of one among the components.
enum Referable<Value: Decodable>: Decodable {
    case here(Value)
    case reference(String)

    private enum CodingKeys: String, CodingKey {
        case reference = "$ref"
    }

    init(from decoder: any Decoder) throws {
        if let reference = try? decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .reference) {
            self = .reference(reference.lastComponent)
        } else {
            self = .here(try Value(from: decoder))
        }
    }
}

extension String {
    /// The text after the last slash.
    fileprivate var lastComponent: String { split(separator: "/").last.map(String.init) ?? self }
}

/// The parts of a JSON Schema that the page shows.
final class OpenAPISchema: Decodable {
    /// The name of the schema to which this one refers.
    let reference: String?
    let types: [String]
    let description: String?
    let properties: [String: OpenAPISchema]
    let required: [String]
    let items: OpenAPISchema?
    let alternatives: [OpenAPISchema]
    /// The only allowed values, if they are limited.
    let values: [String]
    /// Bounds and similar limits, in words.
    let bounds: [String]

    private enum CodingKeys: String, CodingKey {
        case type, description, properties, required, items, anyOf, const, `enum`, format, `default`
        case minimum, maximum, minLength, maxLength, minItems, maxItems
        case reference = "$ref"
    }

    init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        reference = try members.decodeIfPresent(String.self, forKey: .reference)?.lastComponent
        if let type = try? members.decode(String.self, forKey: .type) {
            types = [type]
        } else {
            types = try members.decodeIfPresent([String].self, forKey: .type) ?? []
        }
        description = try members.decodeIfPresent(String.self, forKey: .description)
        properties = try members.decodeIfPresent([String: OpenAPISchema].self, forKey: .properties) ?? [:]
        required = try members.decodeIfPresent([String].self, forKey: .required) ?? []
        items = try members.decodeIfPresent(OpenAPISchema.self, forKey: .items)
        alternatives = try members.decodeIfPresent([OpenAPISchema].self, forKey: .anyOf) ?? []
        let constant = try members.decodeIfPresent(String.self, forKey: .const)
        values = try constant.map { [$0] } ?? members.decodeIfPresent([String].self, forKey: .enum) ?? []

        var bounds: [String] = []
        if let format = try members.decodeIfPresent(String.self, forKey: .format) { bounds.append(format) }
        for (least, most, unit) in [
            (CodingKeys.minimum, CodingKeys.maximum, ""), (.minLength, .maxLength, " characters"),
            (.minItems, .maxItems, " items"),
        ] {
            let range = (
                try members.decodeIfPresent(Int.self, forKey: least),
                try members.decodeIfPresent(Int.self, forKey: most)
            )
            switch range {
            case (let least?, let most?):
                bounds.append(least == most ? "\(least)\(unit)" : "\(least) to \(most)\(unit)")
            case (let least?, nil): bounds.append("\(least)\(unit) or more")
            case (nil, let most?): bounds.append("at most \(most)\(unit)")
            case (nil, nil): break
            }
        }
        if let standard = try? members.decode(Int.self, forKey: .default) { bounds.append("\(standard) unless told") }
        self.bounds = bounds
    }
}
