#include "rbee/domain/validate.hpp"

#include <algorithm>
#include <string>

namespace rbee::domain {
namespace {

constexpr std::size_t id_bytes_max = 64;

bool alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

Result<void> refuse(std::string_view subject, std::string_view why) {
    return fail(
        Errc::invalid_argument, "Invalid " + std::string(subject) + ": " + std::string(why)
    );
}

std::string_view shell_complaint(std::string_view text) {
    if (text.contains('`')) {
        return "contains backticks";
    }
    if (text.contains('|')) {
        return "contains pipe characters";
    }
    if (text.find_first_of(";&$<>(){}") != std::string_view::npos) {
        return "contains shell metacharacters";
    }
    return {};
}

} // namespace

Result<void> check_worker_id(std::string_view id) {
    if (id.empty()) {
        return refuse("worker ID", "it is empty");
    }
    if (id.size() > id_bytes_max) {
        return refuse("worker ID", "exceeds maximum length of 64 characters");
    }
    if (const auto wrong = shell_complaint(id); !wrong.empty()) {
        return refuse("worker ID", wrong);
    }
    if (!std::ranges::all_of(id, [](char c) { return alphanumeric(c) || c == '-'; })) {
        return refuse("worker ID", "only alphanumeric and dash allowed");
    }
    return {};
}

Result<void> check_node_name(std::string_view name) {
    if (name.empty()) {
        return refuse("node name", "it is empty");
    }
    if (name.size() > id_bytes_max) {
        return refuse("node name", "exceeds maximum length of 64 characters");
    }
    const bool characters =
        std::ranges::all_of(name, [](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
    if (!characters || !alphanumeric(name.front()) || !alphanumeric(name.back())) {
        return refuse("node name", "only letters, digits, dots and dashes allowed");
    }
    return {};
}

Result<void> check_backend(std::string_view backend) {
    if (backend != "cpu" && backend != "cuda" && backend != "metal") {
        return refuse("backend", "must be one of [cpu, cuda, metal]");
    }
    return {};
}

} // namespace rbee::domain
