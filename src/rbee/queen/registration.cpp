#include "rbee/queen/registration.hpp"

#include "rbee/api/field_reader.hpp"
#include "rbee/api/types.hpp"
#include "rbee/domain/validate.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen {

namespace json = boost::json;

namespace {

constexpr std::size_t texts_max = 1000;
constexpr std::size_t text_bytes_max = 512;

Result<std::string> text_element(const json::value& item) {
    if (!item.is_string()) {
        return std::unexpected(domain::field_error("", "type(string)", "must be a string"));
    }
    std::string text(item.get_string());
    const domain::TextRule rule{.bytes_max = text_bytes_max, .empty = false};
    if (const auto good = domain::check_text("the text", text, rule); !good) {
        return std::unexpected(domain::in_field(good.error(), ""));
    }
    return text;
}

} // namespace

Result<WorkerRegistration> registration_from(const json::object& body) {
    WorkerRegistration out;
    std::string id;
    std::string url;
    api::FieldReader read(body);
    read.checked("worker_id", id, domain::check_worker_id, api::FieldReader::required);
    read.url("rbee_hive_url", out.rbee_hive_url);
    read.url("url", url);
    read.checked("node_name", out.hive, domain::check_node_name);
    read.list("capabilities", out.capabilities, texts_max, text_element);
    read.list("models_loaded", out.models_loaded, texts_max, text_element);
    if (auto good = read.finish(true); !good) {
        return error_of(good);
    }
    if (out.rbee_hive_url.empty() && url.empty()) {
        return std::unexpected(
            domain::field_error("url", "required", "rbee_hive_url or url is required")
        );
    }
    json::object info = body;
    info["id"] = id;
    if (!info.contains("model_ref")) {
        info["model_ref"] = out.models_loaded.empty() ? "none" : out.models_loaded.front();
    }
    if (!info.contains("state")) {
        info["state"] = "idle";
    }
    info.erase("reason");
    auto worker = api::worker_from_json(info);
    if (!worker) {
        return error_of(worker);
    }
    out.info = std::move(*worker);
    if (out.capabilities.empty() && !out.info.backend.empty()) {
        out.capabilities.push_back(out.info.backend + ":" + std::to_string(out.info.device));
    }
    return out;
}

} // namespace rbee::queen
