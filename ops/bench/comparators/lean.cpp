// lean PORT FILE decode|store: the receiver's work with as little as it can be done with, as a limit to compare it with.
//
// One thread has all connections in an epoll; another writes what has come meanwhile to FILE and synchronizes it, then the
// batches of that group are answered. `decode` reads every message with simdjson On Demand, counts its minute keys in a
// ledger and gives its record a checksum; `store` does neither, it only receives, makes durable and answers.
//
// It lacks: keys, limits, deadlines, validation of the parts of a message that no reading needs, line breaks in a body,
// rotation, recovery after a start, a failing disk (it ends), statistics, metrics, TLS, and any client but the bench's.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <simdjson.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

extern "C" uint32_t shelly_crc32c(uint32_t crc, const void *bytes, size_t length);

namespace {

using namespace simdjson;

void check(bool ok, const char *what) {
    if (ok) return;
    perror(what);
    _exit(1);
}

struct Counts {
    int inserted = 0, duplicates = 0, errors = 0, messages = 0;
    uint64_t record = 0;
};

struct Connection {
    int socket;
    std::vector<char> bytes = std::vector<char>(65536);
    size_t received = 0, body = 0, length = 0;
    bool waits = false, ended = false;
    Counts counts = {};
    char prefix[64] = {};
    int prefix_length = 0;
};

// The minutes that each device has reported: for a day, a nibble for each minute, a bit for each channel.
class Ledger {
public:
    void count(std::string_view device, int64_t minute, unsigned channels, Counts &counts) {
        auto found = devices.find(device);
        if (found == devices.end()) found = devices.try_emplace(std::string(device)).first;
        uint8_t &pair = found->second[minute / 1440][minute % 1440 / 2];
        const int shift = minute % 2 * 4;
        counts.duplicates += std::popcount(channels & (unsigned(pair) >> shift));
        counts.inserted += std::popcount(channels & ~(unsigned(pair) >> shift));
        pair |= channels << shift;
    }

private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    using Days = std::unordered_map<int64_t, std::array<uint8_t, 720>>;
    std::unordered_map<std::string, Days, Hash, std::equal_to<>> devices;
};

// What has been received and is to be durable, and what is.
struct Groups {
    std::mutex mutex;
    std::condition_variable arrival;
    std::vector<Connection *> received, durable;
    int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    void write_all(int file) {
        std::vector<Connection *> group;
        std::vector<iovec> parts;
        for (;;) {
            {
                std::unique_lock lock(mutex);
                arrival.wait(lock, [&] { return !received.empty(); });
                group.swap(received);
            }
            for (size_t begin = 0; begin < group.size(); begin += 512) {
                parts.clear();
                size_t total = 0;
                for (size_t index = begin; index < std::min(group.size(), begin + 512); index++) {
                    Connection &of = *group[index];
                    parts.push_back({of.prefix, size_t(of.prefix_length)});
                    parts.push_back({of.bytes.data() + of.body, of.length + 1});
                    total += of.prefix_length + of.length + 1;
                }
                check(writev(file, parts.data(), int(parts.size())) == ssize_t(total), "writev");
            }
            check(fdatasync(file) == 0, "fdatasync");
            {
                std::lock_guard lock(mutex);
                durable.insert(durable.end(), group.begin(), group.end());
            }
            group.clear();
            const uint64_t one = 1;
            check(write(wake, &one, sizeof one) == sizeof one, "eventfd");
        }
    }
};

class Server {
public:
    Server(int port, const char *path, bool decodes) : decodes(decodes), poller(epoll_create1(EPOLL_CLOEXEC)) {
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        check(file >= 0, path);
        listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int yes = 1;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        check(bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0, "bind");
        check(listen(listener, 1024) == 0, "listen");
        watch(listener, &listener);
        watch(groups.wake, &groups);
    }

    void run() {
        std::thread([this] { groups.write_all(file); }).detach();
        epoll_event events[256];
        for (;;) {
            const int count = epoll_wait(poller, events, 256, -1);
            check(count >= 0 || errno == EINTR, "epoll_wait");
            for (int index = 0; index < count; index++) {
                void *source = events[index].data.ptr;
                if (source == &listener) accept_all();
                else if (source == &groups) answer_durable();
                else read(*static_cast<Connection *>(source));
            }
            if (arrived.empty()) continue;
            {
                std::lock_guard lock(groups.mutex);
                groups.received.insert(groups.received.end(), arrived.begin(), arrived.end());
            }
            arrived.clear();
            groups.arrival.notify_one();
        }
    }

private:
    const bool decodes;
    const int poller;
    int listener, file;
    uint64_t records = 0;
    Groups groups;
    std::vector<Connection *> arrived;
    Ledger ledger;
    ondemand::parser parser;

    void watch(int descriptor, void *source) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = source;
        check(epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
    }

    void accept_all() {
        for (;;) {
            const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (socket < 0) return;
            const int yes = 1;
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            watch(socket, new Connection{socket});
        }
    }

    void read(Connection &connection) {
        const size_t room = connection.bytes.size() - SIMDJSON_PADDING - connection.received;
        const ssize_t count = recv(connection.socket, connection.bytes.data() + connection.received, room, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) {
            close(connection.socket);
            connection.ended = true;
            if (!connection.waits) delete &connection;
            return;
        }
        connection.received += count;
        if (connection.body == 0 && !read_head(connection)) return;
        if (connection.received < connection.body + connection.length) return;
        if (connection.length == 0) return answer(connection, "200 OK", "{}");
        if (decodes && !decode(connection)) return answer(connection, "422 Unprocessable Content", "{}");
        connection.counts.record = ++records;
        connection.bytes[connection.body + connection.length] = '\n';
        connection.waits = true;
        arrived.push_back(&connection);
    }

    // Whether the head is there; makes room for the body that it announces.
    static bool read_head(Connection &connection) {
        connection.bytes[connection.received] = 0;
        const char *head = connection.bytes.data(), *end = strstr(head, "\r\n\r\n");
        if (!end) return false;
        const char *length = strcasestr(head, "\r\ncontent-length:");
        connection.length = length && length < end ? strtoul(length + 17, nullptr, 10) : 0;
        connection.body = end + 4 - head;
        const size_t needed = connection.body + connection.length + SIMDJSON_PADDING + 1;
        if (connection.bytes.size() < needed) connection.bytes.resize(needed);
        return true;
    }

    bool decode(Connection &connection) {
        Counts counts;
        const char *body = connection.bytes.data() + connection.body;
        const int64_t now = time(nullptr);
        try {
            auto document = parser.iterate(body, connection.length, connection.bytes.size() - connection.body);
            for (ondemand::object message : document["messages"]) {
                const std::string_view device = message["src"];
                const int64_t timestamp = int64_t(double(message["timestamp"]));
                if (device.empty() || device.size() > 128 || timestamp <= 0 || timestamp > now + 86400) return false;
                unsigned channels = 0;
                for (auto member : message["params"].get_object()) {
                    const std::string_view name = member.unescaped_key();
                    if (name.size() != 8 || !name.starts_with("switch:") || name[7] < '0' || name[7] > '3') continue;
                    ondemand::object component = member.value();
                    double power, voltage, current;
                    auto has_power = component["apower"];
                    if (has_power.error() == NO_SUCH_FIELD || has_power.is_null()) continue;
                    bool is_right = has_power.get(power) == SUCCESS;
                    is_right &= is_number_or_absent(component["voltage"], voltage);
                    is_right &= is_number_or_absent(component["current"], current);
                    if (is_right) channels |= 1 << (name[7] - '0');
                    else counts.errors++;
                }
                ledger.count(device, timestamp / 60, channels, counts);
                counts.messages++;
            }
        } catch (const simdjson_error &) {
            return false;
        }
        connection.counts = counts;
        // The record's head as in the product's format: checksum of what follows it, number, time, length.
        char *prefix = connection.prefix;
        connection.prefix_length =
            snprintf(prefix, sizeof connection.prefix, "%08x %lu %ld000 %zu ", 0, records + 1, now, connection.length);
        const uint32_t checksum = shelly_crc32c(
            shelly_crc32c(0, prefix + 9, connection.prefix_length - 9), body, connection.length);
        snprintf(prefix, 9, "%08x", checksum);
        prefix[8] = ' ';
        return counts.messages > 0 && counts.messages <= 1000;
    }

    static bool is_number_or_absent(simdjson_result<ondemand::value> found, double &number) {
        return found.error() == NO_SUCH_FIELD || found.is_null() || found.get(number) == SUCCESS;
    }

    void answer_durable() {
        uint64_t count;
        check(::read(groups.wake, &count, sizeof count) == sizeof count, "eventfd");
        std::vector<Connection *> group;
        {
            std::lock_guard lock(groups.mutex);
            group.swap(groups.durable);
        }
        for (Connection *connection : group) {
            connection->waits = false;
            if (connection->ended) {
                delete connection;
                continue;
            }
            char text[256];
            const Counts &counts = connection->counts;
            snprintf(text, sizeof text,
                     "{\"inserted\":%d,\"duplicates\":%d,\"errors\":%d,\"total_messages\":%d,\"record\":\"00000001:%lu\"}",
                     counts.inserted, counts.duplicates, counts.errors, counts.messages, counts.record);
            answer(*connection, "200 OK", text);
        }
    }

    static void answer(Connection &connection, const char *status, const char *text) {
        char bytes[512];
        const int length = snprintf(
            bytes, sizeof bytes, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
            strlen(text), text);
        connection.received = connection.body = 0;
        // Into an empty socket; one that its client has closed is found by the next read.
        send(connection.socket, bytes, length, MSG_NOSIGNAL);
    }
};

}

int main(int count, char **arguments) {
    const std::string_view mode = count == 4 ? arguments[3] : "";
    if (mode != "decode" && mode != "store") {
        fprintf(stderr, "usage: lean PORT FILE decode|store\n");
        return 64;
    }
    Server(atoi(arguments[1]), arguments[2], mode == "decode").run();
}
