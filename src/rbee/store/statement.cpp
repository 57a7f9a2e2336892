#include "rbee/store/statement.hpp"

#include "rbee/store/sqlite_error.hpp"

#include <sqlite3.h>

namespace rbee::store {
namespace {

Result<void> checked(sqlite3* database, int code) {
    if (code != SQLITE_OK) {
        return std::unexpected(detail::error_from(database, "cannot bind a value"));
    }
    return {};
}

} // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}

Result<void> Statement::bind(int index, std::string_view text) {
    const char* data = text.data() != nullptr ? text.data() : ""; // null would bind NULL
    return checked(
        database_,
        sqlite3_bind_text64(
            statement_.get(), index, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8
        )
    );
}

Result<void> Statement::bind(int index, std::int64_t number) {
    return checked(database_, sqlite3_bind_int64(statement_.get(), index, number));
}

Result<void> Statement::bind(int index, std::nullptr_t) {
    return checked(database_, sqlite3_bind_null(statement_.get(), index));
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code == SQLITE_DONE) {
        return false;
    }
    return std::unexpected(detail::error_from(database_, "a statement failed"));
}

void Statement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
}

std::string Statement::text(int column) const {
    const auto* data = sqlite3_column_text(statement_.get(), column);
    const int size = sqlite3_column_bytes(statement_.get(), column);
    return data == nullptr
               ? std::string()
               : std::string(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::optional<std::string> Statement::optional_text(int column) const {
    return is_null(column) ? std::nullopt : std::optional(text(column));
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
}

} // namespace rbee::store
