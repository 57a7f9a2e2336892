#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/store/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>

namespace rbee::queen {

/// Hives that were invited and have not joined yet, on disk: name, digest of the join token and the
/// time until which it counts. The tokens themselves are not kept. Belongs to the event loop; the
/// database must outlive it.
class InviteStore {
public:
    /// The table, as a migration of the queen's database.
    [[nodiscard]] static std::string_view migration();

    explicit InviteStore(store::Database& database) : database_(database) {}

    /// Keeps an invitation in place of an older one of that name.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    put(std::string name, const Secret& join_token, WallTime expires);
    /// The name that was invited with this token. Fails with Errc::unauthenticated and
    /// JOIN_TOKEN_INVALID when there is none, or it has expired.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>>
    find(const Secret& join_token, WallTime now);
    /// Takes the invitation away; of several at the same time only one succeeds. Fails as find().
    [[nodiscard]] boost::asio::awaitable<Result<void>> take(const Secret& join_token);

private:
    store::Database& database_;
};

} // namespace rbee::queen
