#pragma once

#include "rbee/audit/line_reader.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <vector>

namespace rbee::audit {

/// Which records to show; what is empty lets all pass.
struct Filter {
    std::optional<WallTime> since;
    std::optional<WallTime> until; ///< Not this one itself.
    std::string type;              ///< "auth.failure", or "auth.*" for all that begin so.
    std::string actor;
    std::string correlation_id;

    [[nodiscard]] bool passes(const boost::json::object& record) const;
};

/// Reads the records of a log in order, whatever they are worth: verify() tells that. Not
/// thread-safe.
class Cursor {
public:
    /// Errors of list_log().
    [[nodiscard]] static Result<Cursor> open(std::string folder);

    /// The next record that passes; nothing when there is no more now. Lines that are no JSON
    /// object are left out. May be called again to see what was added.
    [[nodiscard]] std::optional<boost::json::object> next(const Filter& filter);

private:
    explicit Cursor(std::string folder) : folder_(std::move(folder)) {}
    bool next_segment();

    std::string folder_;
    std::uint64_t first_ = 0; ///< Of the segment being read; 0: none yet.
    std::optional<LineReader> reader_;
};

} // namespace rbee::audit
