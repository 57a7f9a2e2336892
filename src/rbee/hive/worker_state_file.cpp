#include "rbee/hive/worker_state_file.hpp"

#include "rbee/api/json.hpp"
#include "rbee/auth/secret_file.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/worker_state.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/error_code.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace fs = std::filesystem;
namespace json = boost::json;
using domain::WorkerState;

namespace {

constexpr std::uint64_t format_version = 1;
constexpr const char* file_name = "workers.json";

/// States that differ only by the requests of the moment are one.
WorkerState lasting(WorkerState state) {
    return state == WorkerState::busy || state == WorkerState::unhealthy ? WorkerState::idle
                                                                         : state;
}

json::object to_json(const SlotRecord& slot) {
    const api::WorkerInfo& info = slot.info;
    json::object out{
        {"worker_id", info.id},
        {"url", info.url},
        {"model_ref", slot.model.ref.to_string()},
        {"model_name", slot.model.name},
        {"model_path", slot.model.path},
        {"model_bytes", slot.model.size_bytes},
        {"backend", info.backend},
        {"device", info.device},
        {"slots", info.slots_total},
        {"state", domain::to_string(lasting(info.state))},
        {"restart_count", info.restart_count},
        {"last_exit", info.last_exit},
        {"engine_args", json::array(slot.engine_args.begin(), slot.engine_args.end())},
        {"cpus", json::array(slot.cpus.begin(), slot.cpus.end())},
    };
    if (info.last_restart) {
        out["last_restart"] = *info.last_restart;
    }
    if (info.pid && slot.start_ticks != 0) {
        out["pid"] = *info.pid;
        out["start_ticks"] = slot.start_ticks;
        out["token"] = slot.token.expose();
    }
    return out;
}

/// Reads members of one entry; the first that is missing or of another type spoils the whole.
class Reader {
public:
    explicit Reader(const json::object& object) : object_(object) {}

    [[nodiscard]] std::string text(std::string_view field) {
        return take(api::get_string(object_, field), field, std::optional<std::string>());
    }
    [[nodiscard]] std::string text(std::string_view field, std::string fallback) {
        return take(api::get_string(object_, field), field, std::optional(std::move(fallback)));
    }
    [[nodiscard]] std::uint64_t number(std::string_view field) {
        return take(api::get_unsigned(object_, field), field, std::optional<std::uint64_t>());
    }
    [[nodiscard]] std::uint64_t number(std::string_view field, std::uint64_t fallback) {
        return take(api::get_unsigned(object_, field), field, std::optional(fallback));
    }
    [[nodiscard]] std::uint32_t small(std::string_view field) {
        const std::uint64_t value = number(field);
        if (value > std::numeric_limits<std::uint32_t>::max()) {
            spoil(field);
        }
        return static_cast<std::uint32_t>(value);
    }
    [[nodiscard]] const json::array& list(std::string_view field) {
        static const json::array none;
        const json::value* found = object_.if_contains(field);
        if (found == nullptr || !found->is_array()) {
            spoil(field);
            return none;
        }
        return found->get_array();
    }
    void spoil(std::string_view field) {
        if (wrong_.empty()) {
            wrong_ = field;
        }
    }
    [[nodiscard]] const std::string& wrong() const { return wrong_; }

private:
    template <typename T>
    T take(Result<std::optional<T>> found, std::string_view field, std::optional<T> fallback) {
        if (found && found->has_value()) {
            return std::move(*found).value_or(T{});
        }
        if (!found || !fallback) {
            spoil(field);
        }
        return std::move(fallback).value_or(T{});
    }

    const json::object& object_;
    std::string wrong_;
};

void read_lists(Reader& reader, SlotRecord& slot) {
    for (const json::value& one : reader.list("engine_args")) {
        if (!one.is_string()) {
            reader.spoil("engine_args");
            break;
        }
        slot.engine_args.emplace_back(one.get_string());
    }
    for (const json::value& one : reader.list("cpus")) {
        boost::system::error_code error;
        slot.cpus.push_back(one.to_number<unsigned>(error));
        if (error) {
            reader.spoil("cpus");
            break;
        }
    }
}

Result<SlotRecord> slot_from_json(const json::object& object) {
    Reader reader(object);
    SlotRecord slot;
    api::WorkerInfo& info = slot.info;
    info.id = reader.text("worker_id");
    info.url = reader.text("url");
    slot.model.name = reader.text("model_name");
    slot.model.path = reader.text("model_path");
    slot.model.size_bytes = reader.number("model_bytes");
    info.backend = reader.text("backend");
    info.device = reader.small("device");
    info.slots_total = reader.small("slots");
    info.restart_count = reader.small("restart_count");
    info.last_exit = reader.text("last_exit", "");
    if (const std::string when = reader.text("last_restart", ""); !when.empty()) {
        info.last_restart = when;
    }
    if (const std::uint64_t pid = reader.number("pid", 0); pid != 0) {
        info.pid = reader.small("pid");
        slot.start_ticks = reader.number("start_ticks");
        slot.token = Secret(reader.text("token"));
    }
    const auto ref = domain::parse_model_ref(reader.text("model_ref"));
    const auto state = domain::parse_worker_state(reader.text("state"));
    if (!ref) {
        reader.spoil("model_ref");
    }
    if (!state) {
        reader.spoil("state");
    }
    read_lists(reader, slot);
    if (!reader.wrong().empty() || !ref || !state) {
        return fail(Errc::corrupt, fmt::format("{}: wrong or missing", reader.wrong()));
    }
    slot.model.ref = *ref;
    info.state = *state;
    info.model_ref = ref->to_string();
    info.model = slot.model.name;
    return slot;
}

} // namespace

Secret encode_slots(const std::vector<SlotRecord>& slots, std::string_view boot_id) {
    json::array workers;
    for (const SlotRecord& slot : slots) {
        workers.push_back(to_json(slot));
    }
    return Secret(json::serialize(json::object{
        {"version", format_version}, {"boot_id", boot_id}, {"workers", std::move(workers)}
    }));
}

Result<std::vector<SlotRecord>> decode_slots(std::string_view text, std::string_view boot_id) {
    const auto whole = api::parse_object(text);
    if (!whole) {
        return fail(Errc::corrupt, whole.error().what);
    }
    Reader reader(*whole);
    const std::uint64_t version = reader.number("version");
    const std::string boot = reader.text("boot_id");
    std::vector<SlotRecord> out;
    for (const json::value& one : reader.list("workers")) {
        auto slot = one.is_object() ? slot_from_json(one.get_object())
                                    : fail(Errc::corrupt, "a worker is no object");
        if (!slot) {
            return error_of(slot);
        }
        out.push_back(std::move(*slot));
    }
    if (!reader.wrong().empty() || version != format_version) {
        return fail(Errc::corrupt, "it is not of a version that this program knows");
    }
    if (boot != boot_id || boot.empty()) {
        out.clear(); // the numbers of its processes mean others now
    }
    return out;
}

Result<WorkerStateFile> WorkerStateFile::open(const std::string& directory) {
    std::error_code error;
    const fs::path folder(directory);
    if (fs::create_directories(folder, error)) {
        fs::permissions(folder, fs::perms::owner_all, error);
    }
    const std::string lock_path = (folder / "lock").string();
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.valid()) {
        const std::string why = std::generic_category().message(errno);
        return fail(Errc::io, fmt::format("cannot open {}: {}", lock_path, why));
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(Errc::conflict, fmt::format("another hive uses {}", directory));
    }
    // What a hive left that died while it wrote.
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() == ".tmp") {
            std::error_code ignored;
            fs::remove(at->path(), ignored);
        }
    }
    return WorkerStateFile((folder / file_name).string(), std::move(lock));
}

Result<std::vector<SlotRecord>> WorkerStateFile::read(std::string_view boot_id) const {
    const auto text = auth::read_secret_file(path_, {.what = "the list of workers"});
    if (!text && text.error().code == Errc::not_found) {
        return std::vector<SlotRecord>();
    }
    if (!text) {
        return error_of(text);
    }
    auto slots = decode_slots(text->expose(), boot_id);
    if (!slots) {
        return std::unexpected(slots.error().within(path_));
    }
    return slots;
}

Result<void> WorkerStateFile::write(const Secret& text) const {
    return auth::write_secret_file(path_, text.expose());
}

} // namespace rbee::hive
