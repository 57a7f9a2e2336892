#include "rbee/queen/registration.hpp"

#include "rbee/api/json.hpp"
#include "rbee/api/types.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/url.hpp"

#include <boost/json/value.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::queen {

namespace json = boost::json;

namespace {

Result<std::vector<std::string>> text_list(const json::object& object, std::string_view field) {
    std::vector<std::string> out;
    const json::value* value = object.if_contains(field);
    if (value == nullptr || value->is_null()) {
        return out;
    }
    const bool good =
        value->is_array() && std::ranges::all_of(value->get_array(), [](const auto& item) {
            return item.is_string() && item.get_string().size() <= 512;
        });
    if (!good || value->get_array().size() > 1000) {
        return fail(Errc::invalid_argument, std::string(field) + " must be an array of strings");
    }
    for (const json::value& item : value->get_array()) {
        out.emplace_back(item.get_string());
    }
    return out;
}

} // namespace

Result<WorkerRegistration> registration_from(const json::object& body) {
    WorkerRegistration out;
    auto id = api::require_string(body, "worker_id");
    if (!id) {
        return error_of(id);
    }
    if (const auto good = domain::check_worker_id(*id); !good) {
        return error_of(good);
    }
    json::object info = body;
    info["id"] = *id;
    const auto hive_url = api::get_string(body, "rbee_hive_url");
    const auto url = api::get_string(body, "url");
    if (!hive_url || !url) {
        return error_of(hive_url ? url : hive_url);
    }
    for (const auto& address : {*hive_url, *url}) {
        if (address) {
            if (const auto endpoint = http::parse_endpoint(*address); !endpoint) {
                return error_of(endpoint);
            }
        }
    }
    if (!*hive_url && !*url) {
        return fail(Errc::invalid_argument, "rbee_hive_url or url is required");
    }
    auto capabilities = text_list(body, "capabilities");
    auto models = text_list(body, "models_loaded");
    if (!capabilities || !models) {
        return error_of(capabilities ? models : capabilities);
    }
    if (!info.contains("model_ref")) {
        info["model_ref"] = models->empty() ? "none" : models->front();
    }
    if (!info.contains("state")) {
        info["state"] = "idle";
    }
    info.erase("reason");
    auto worker = api::worker_from_json(info);
    if (!worker) {
        return error_of(worker);
    }
    const auto node = api::get_string(body, "node_name");
    if (!node) {
        return error_of(node);
    }
    out.info = std::move(*worker);
    out.hive = node->value_or("");
    out.rbee_hive_url = hive_url->value_or("");
    out.capabilities = std::move(*capabilities);
    out.models_loaded = std::move(*models);
    if (out.capabilities.empty() && !out.info.backend.empty()) {
        out.capabilities.push_back(out.info.backend + ":" + std::to_string(out.info.device));
    }
    return out;
}

} // namespace rbee::queen
