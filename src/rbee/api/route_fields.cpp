#include "rbee/api/route_fields.hpp"

#include <simdjson.h>

namespace rbee::api {
namespace {

std::unexpected<Error> refuse(std::string_view why) {
    return fail(Errc::invalid_argument, std::string(why));
}

} // namespace

Result<RouteFields> route_fields(std::string& body) {
    // The scanner reads past the end of the text, so it needs capacity there.
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    static thread_local simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    if (parser.iterate(body.data(), body.size(), body.capacity()).get(document) !=
        simdjson::SUCCESS) {
        return refuse("the body is not valid JSON");
    }
    simdjson::ondemand::object object;
    if (document.get_object().get(object) != simdjson::SUCCESS) {
        return refuse("the body must be a JSON object");
    }
    RouteFields fields;
    for (auto member : object) {
        std::string_view name;
        if (member.unescaped_key().get(name) != simdjson::SUCCESS) {
            return refuse("the body is not valid JSON");
        }
        // `member.value()` is the on-demand value; reading it moves the cursor.
        auto value = member.value();
        if (name == "model" || name == "job_id") {
            std::string_view text;
            if (value.get_string().get(text) != simdjson::SUCCESS) {
                return refuse(
                    name == "model" ? "model must be a string" : "job_id must be a string"
                );
            }
            (name == "model" ? fields.model : fields.job_id) = text;
        } else if (name == "stream") {
            simdjson::ondemand::json_type type{};
            if (value.type().get(type) != simdjson::SUCCESS) {
                return refuse("the body is not valid JSON");
            }
            if (type == simdjson::ondemand::json_type::null) {
                continue;
            }
            if (value.get_bool().get(fields.stream) != simdjson::SUCCESS) {
                return refuse("stream must be true or false");
            }
        }
    }
    return fields;
}

} // namespace rbee::api
