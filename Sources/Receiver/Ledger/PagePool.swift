/// Bitmaps of the minutes of a day, and a word beside each for its owner. They lie in chunks, so that growth never copies
/// existing pages.
struct PagePool: Sendable {
    /// The page of a day with all its minutes. It is shared, never written and never released.
    static let full: UInt32 = 0
    static let words = 45
    static let bytes = wordsPerRow * 4
    private static let wordsPerRow = 1 + words
    private static let pagesPerChunk = 256

    private var chunks: [[UInt32]] = []
    private var count = 0
    private var free: [UInt32] = []

    /// Pages that were made and not released, `full` not counted.
    var used: Int { count - 1 - free.count }

    init() {
        _ = make()
        for word in 0..<Self.words { self[Self.full, word] = .max }
    }

    /// 32 minutes of a page.
    subscript(page: UInt32, word: Int) -> UInt32 {
        get { chunks[Self.chunk(page)][Self.row(page) + 1 + word] }
        set { chunks[Self.chunk(page)][Self.row(page) + 1 + word] = newValue }
    }

    func owner(of page: UInt32) -> UInt32 { chunks[Self.chunk(page)][Self.row(page)] }

    mutating func setOwner(_ word: UInt32, of page: UInt32) { chunks[Self.chunk(page)][Self.row(page)] = word }

    func bits(of page: UInt32) -> ArraySlice<UInt32> {
        let first = Self.row(page) + 1
        return chunks[Self.chunk(page)][first..<first + Self.words]
    }

    func isFull(_ page: UInt32) -> Bool { bits(of: page).allSatisfy { $0 == .max } }

    /// Returns an empty page.
    mutating func make() -> UInt32 {
        if let page = free.popLast() { return page }
        if count % Self.pagesPerChunk == 0 {
            chunks.append([UInt32](repeating: 0, count: Self.pagesPerChunk * Self.wordsPerRow))
        }
        count += 1
        return UInt32(count - 1)
    }

    /// Returns a page with the same minutes.
    mutating func copy(_ page: UInt32) -> UInt32 {
        let copy = make()
        for word in 0..<Self.words { self[copy, word] = self[page, word] }
        return copy
    }

    mutating func release(_ page: UInt32) {
        guard page != Self.full else { return }
        let row = Self.row(page)
        for word in row..<row + Self.wordsPerRow { chunks[Self.chunk(page)][word] = 0 }
        free.append(page)
    }

    private static func chunk(_ page: UInt32) -> Int { Int(page) / pagesPerChunk }

    private static func row(_ page: UInt32) -> Int { Int(page) % pagesPerChunk * wordsPerRow }
}
