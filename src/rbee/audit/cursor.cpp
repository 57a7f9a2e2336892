#include "rbee/audit/cursor.hpp"

#include "rbee/audit/files.hpp"

#include <boost/json/parse.hpp>

#include <string_view>
#include <utility>

namespace rbee::audit {

namespace json = boost::json;

namespace {

std::string_view text_of(const json::object& record, std::string_view field) {
    const json::value* value = record.if_contains(field);
    const json::string* text = value != nullptr ? value->if_string() : nullptr;
    return text != nullptr ? std::string_view(*text) : std::string_view();
}

} // namespace

bool Filter::passes(const json::object& record) const {
    const std::string_view kind = text_of(record, "event_type");
    const bool all = type.ends_with('*');
    const std::string_view wanted = std::string_view(type).substr(0, type.size() - (all ? 1 : 0));
    if (!type.empty() && (all ? !kind.starts_with(wanted) : kind != wanted)) {
        return false;
    }
    if (!actor.empty() && text_of(record, "actor") != actor) {
        return false;
    }
    if (!correlation_id.empty() && text_of(record, "correlation_id") != correlation_id) {
        return false;
    }
    if (!since && !until) {
        return true;
    }
    const auto time = parse_rfc3339(text_of(record, "timestamp"));
    return time && (!since || *time >= *since) && (!until || *time < *until);
}

Result<Cursor> Cursor::open(std::string folder) {
    if (const auto listing = list_log(folder); !listing) {
        return error_of(listing);
    }
    return Cursor(std::move(folder));
}

bool Cursor::next_segment() {
    const auto listing = list_log(folder_);
    if (!listing) {
        return false;
    }
    for (const SegmentName& name : listing->segments) {
        if (name.first > first_) {
            auto reader = LineReader::open(folder_ + "/" + name.file());
            if (!reader) {
                return false; // sealed just now, so it has another name: the next call finds it
            }
            reader_ = std::move(reader);
            first_ = name.first;
            return true;
        }
    }
    return false;
}

std::optional<json::object> Cursor::next(const Filter& filter) {
    while (true) {
        const auto line = reader_ ? reader_->next() : std::nullopt;
        if (line && line->complete) {
            boost::system::error_code error;
            json::value value =
                json::parse(json::string_view(line->text.data(), line->text.size()), error);
            if (!error && value.is_object() && filter.passes(value.get_object())) {
                return std::move(value.get_object());
            }
            continue;
        }
        if (line) {
            reader_->put_back(*line); // it is being written
        }
        if (!next_segment()) {
            return std::nullopt;
        }
    }
}

} // namespace rbee::audit
