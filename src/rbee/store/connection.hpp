#pragma once

#include "rbee/base/result.hpp"
#include "rbee/store/statement.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

struct sqlite3;

namespace rbee::store {

/// The open database, as work on the database thread sees it. Errors as for Statement.
class Connection {
public:
    /// Opens or creates the file, without migrations or checks.
    [[nodiscard]] static Result<Connection> open(const std::string& path);

    [[nodiscard]] Result<Statement> prepare(std::string_view sql);

    /// Runs SQL without parameters and results; may be several statements.
    [[nodiscard]] Result<void> script(const std::string& sql);

    /// Runs one statement to its end and drops its rows.
    template <typename... Args>
    [[nodiscard]] Result<void> execute(std::string_view sql, const Args&... args) {
        Result<Statement> statement = prepare(sql);
        if (!statement) {
            return error_of(statement);
        }
        if (auto bound = statement->bind_all(args...); !bound) {
            return bound;
        }
        return drain(*statement);
    }

    /// Runs `work`, which returns a Result, in a transaction: committed when it succeeds, undone
    /// when it fails. Durable once this returns. Not nested.
    template <typename F>
    [[nodiscard]] std::invoke_result_t<F&> transaction(F work) {
        if (auto begun = script("BEGIN IMMEDIATE"); !begun) {
            return error_of(begun);
        }
        auto result = work();
        if (!result) {
            abandon();
            return result;
        }
        if (auto committed = script("COMMIT"); !committed) {
            abandon();
            return error_of(committed);
        }
        return result;
    }

    /// Rows that the last INSERT, UPDATE or DELETE changed.
    [[nodiscard]] std::int64_t changes() const;
    [[nodiscard]] std::int64_t last_insert_id() const;
    /// Undoes a transaction that is still open, if any.
    void abandon();

private:
    struct Close {
        void operator()(sqlite3* database) const;
    };
    explicit Connection(sqlite3* database) : database_(database) {}
    [[nodiscard]] static Result<void> drain(Statement& statement);
    std::unique_ptr<sqlite3, Close> database_;
};

} // namespace rbee::store
