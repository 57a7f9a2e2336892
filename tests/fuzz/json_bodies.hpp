// What holds for every body of a control route: whatever comes is refused or read; what was refused
// names its fields, and what was read is written back whole.
#pragma once

#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"
#include "rbee/api/types.hpp"

#include <boost/json/serialize.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace rbee::fuzz {

template <typename T>
void check_body(
    std::string_view text,
    Result<T> (*read)(const boost::json::object&),
    boost::json::object (*write)(const T&)
) {
    const auto object = api::parse_object(text);
    if (!object) {
        return;
    }
    const auto value = read(*object);
    if (!value) {
        const bool named = !value.error().fields.empty() && value.error().fields.size() <= 33;
        if (!named || api::status_of(value.error()) != 400) {
            std::abort();
        }
        return;
    }
    const auto written = boost::json::serialize(write(*value));
    const auto again = api::parse_object(written);
    if (!again || !read(*again)) {
        std::abort();
    }
}

} // namespace rbee::fuzz
