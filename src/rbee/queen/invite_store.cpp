#include "rbee/queen/invite_store.hpp"

#include "rbee/base/sha256.hpp"

#include <cstdint>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

std::string digest_of(const Secret& token) {
    return to_hex(sha256(token.expose()));
}

Error unknown_token() {
    return {
        Errc::unauthenticated,
        "the join token is not known here: it was used already, or replaced by a newer one; "
        "`rbee hives invite NAME` makes another",
        "JOIN_TOKEN_INVALID"
    };
}

struct Found {
    std::string name;
    std::int64_t expires_ms = 0;
};

Result<Found> look_up(store::Connection& connection, const std::string& digest) {
    auto rows =
        connection.prepare("SELECT node_name, expires_ms FROM hive_invites WHERE digest = ?");
    if (!rows) {
        return error_of(rows);
    }
    if (const auto bound = rows->bind_all(digest); !bound) {
        return error_of(bound);
    }
    const auto there = rows->step();
    if (!there) {
        return error_of(there);
    }
    if (!*there) {
        return std::unexpected(unknown_token());
    }
    return Found{rows->text(0), rows->integer(1)};
}

} // namespace

std::string_view InviteStore::migration() {
    return "CREATE TABLE hive_invites ("
           " node_name TEXT PRIMARY KEY,"
           " digest TEXT NOT NULL UNIQUE,"
           " expires_ms INTEGER NOT NULL)";
}

asio::awaitable<Result<void>>
InviteStore::put(std::string name, const Secret& join_token, WallTime expires) {
    auto stored = co_await database_.run([name = std::move(name),
                                          digest = digest_of(join_token),
                                          expires_ms =
                                              to_unix_ms(expires)](store::Connection& connection) {
        return connection.execute(
            "INSERT OR REPLACE INTO hive_invites (node_name, digest, expires_ms) VALUES (?, ?, ?)",
            name,
            digest,
            expires_ms
        );
    });
    co_return stored;
}

asio::awaitable<Result<std::string>> InviteStore::find(const Secret& join_token, WallTime now) {
    const auto found =
        co_await database_.run([digest = digest_of(join_token)](store::Connection& connection) {
            return look_up(connection, digest);
        });
    if (!found) {
        co_return error_of(found);
    }
    if (found->expires_ms <= to_unix_ms(now)) {
        co_return fail(
            Errc::unauthenticated,
            "the join token has expired; `rbee hives invite NAME` makes another",
            "JOIN_TOKEN_INVALID"
        );
    }
    co_return found->name;
}

asio::awaitable<Result<void>> InviteStore::take(const Secret& join_token) {
    auto taken = co_await database_.run(
        [digest = digest_of(join_token)](store::Connection& connection) -> Result<void> {
            auto done = connection.execute("DELETE FROM hive_invites WHERE digest = ?", digest);
            if (done && connection.changes() != 1) {
                return std::unexpected(unknown_token());
            }
            return done;
        }
    );
    co_return taken;
}

} // namespace rbee::queen
