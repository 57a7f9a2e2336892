#pragma once

#include "rbee/cli/console.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// Rows under a heading, columns aligned. Cells are neutralised, so text from a server is safe.
class Table {
public:
    enum class Align { left, right };
    struct Column {
        std::string heading;
        Align align = Align::left;
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

    /// Missing cells are empty, surplus ones an error of ours.
    void add(std::vector<std::string> cells);
    /// Colours the last cell that equals a known state word (idle, ready, failed, ...).
    [[nodiscard]] std::string render(const Console& console) const;
    [[nodiscard]] bool empty() const { return rows_.empty(); }

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// A length of time for people: "0 s", "42 s", "3 min", "5 h", "2 d".
[[nodiscard]] std::string human_duration(std::chrono::seconds length);

/// How long ago something was: "now", "42 s", "3 min" and so on.
[[nodiscard]] std::string human_age(std::chrono::seconds age);

/// The age of an RFC 3339 UTC time such as "2026-01-31T08:00:00.000Z"; "-" when it is not one.
[[nodiscard]] std::string
age_of(std::string_view rfc3339, std::chrono::system_clock::time_point now);

/// "loading tiny  [#######.............]  35 %  28/80 layers", at most `columns` wide.
[[nodiscard]] std::string
progress_line(std::string_view label, double fraction, std::string_view note, std::size_t columns);

} // namespace rbee::cli
