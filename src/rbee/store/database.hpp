#pragma once

#include "rbee/base/result.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/store/connection.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace rbee::store {

/// SQL that takes a database from version n to n + 1, n being its place. Never change one that was
/// released; add another.
using Migrations = std::vector<std::string>;

/// A SQLite database on a thread of its own. What run() has acknowledged survives kill -9 and power
/// loss (WAL, synchronous=FULL). run() belongs to event loops, which must outlive the database.
class Database {
public:
    static constexpr std::size_t queue_max = 1024;

    /// Opens or creates the file (0600; its folder 0700), checks it and brings it up to date.
    /// Blocks: for start-up. Errc::corrupt for a damaged file, Errc::unsupported for one that a
    /// newer program wrote, Errc::io otherwise.
    [[nodiscard]] static Result<std::unique_ptr<Database>>
    open(const std::string& path, const Migrations& migrations);

    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    /// Finishes what is queued.
    ~Database() = default;

    /// Runs `work(Connection&)`, which returns some Result, on the database thread. Jobs run one
    /// after the other in the order of the calls. Errc::busy when 1024 jobs wait. A transaction
    /// that `work` leaves open is undone.
    template <typename F>
    [[nodiscard]] boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> run(F work) {
        return pool_.run([this, work = std::move(work)]() mutable {
            auto result = work(connection_);
            connection_.abandon();
            return result;
        });
    }

private:
    explicit Database(Connection connection) : connection_(std::move(connection)) {}
    Connection connection_;
    runtime::BlockingPool pool_{1, "store", queue_max}; ///< Last: ends before the connection goes.
};

} // namespace rbee::store
