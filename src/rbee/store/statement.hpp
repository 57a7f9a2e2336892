#pragma once

#include "rbee/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace rbee::store {

/// One prepared SQL statement. Parameters count from 1, columns from 0. Belongs to its Connection
/// and to the database thread. Errors: conflict (a constraint), busy, resources (disk full),
/// corrupt, io, or internal (our SQL is wrong).
class Statement {
public:
    Statement(sqlite3* database, sqlite3_stmt* statement)
        : database_(database), statement_(statement) {}

    [[nodiscard]] Result<void> bind(int index, std::string_view text);
    [[nodiscard]] Result<void> bind(int index, const char* text) {
        return bind(index, std::string_view(text));
    }
    [[nodiscard]] Result<void> bind(int index, std::int64_t number);
    [[nodiscard]] Result<void> bind(int index, int number) {
        return bind(index, std::int64_t{number});
    }
    [[nodiscard]] Result<void> bind(int index, std::nullptr_t);
    template <typename T>
    [[nodiscard]] Result<void> bind(int index, const std::optional<T>& value) {
        return value ? bind(index, *value) : bind(index, nullptr);
    }

    /// Binds all parameters in order.
    template <typename... Args>
    [[nodiscard]] Result<void> bind_all(const Args&... args) {
        Result<void> bound;
        int index = 0;
        ((bound = bound ? bind(++index, args) : bound), ...);
        return bound;
    }

    /// True when there is a row to read, false at the end.
    [[nodiscard]] Result<bool> step();
    /// Ready for another run; parameters are forgotten.
    void reset();

    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] bool is_null(int column) const;
    [[nodiscard]] std::optional<std::string> optional_text(int column) const;
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    sqlite3* database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

} // namespace rbee::store
