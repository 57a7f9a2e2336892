#include "rbee/hive/postmortem_store.hpp"

#include "rbee/api/json.hpp"
#include "rbee/auth/secret_file.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <ranges>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::string_view ending = ".json";
constexpr std::uintmax_t file_bytes_max = 4ULL * 1024 * 1024;
/// Who asks for a post-mortem that is being written waits this long at most.
constexpr Duration write_limit = std::chrono::seconds(5);

Result<json::object> read_object(const std::string& path) {
    std::error_code error;
    const auto size = fs::file_size(path, error);
    std::ifstream file(path);
    if (error || size > file_bytes_max || !file) {
        return fail(Errc::io, "the post-mortem cannot be read");
    }
    return api::parse_object(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::optional<PostmortemStore::Brief> brief_of(const json::object& object) {
    PostmortemStore::Brief brief;
    for (const auto& [field, into] :
         {std::pair("id", &brief.id),
          std::pair("worker_id", &brief.worker_id),
          std::pair("model_ref", &brief.model_ref),
          std::pair("died_at", &brief.died_at),
          std::pair("summary", &brief.summary)}) {
        auto text = api::require_string(object, field);
        if (!text) {
            return std::nullopt;
        }
        *into = std::move(*text);
    }
    brief.written = true;
    return brief;
}

/// All that can be read in a folder; drafts that a crash has left are removed. Blocks.
std::vector<PostmortemStore::Brief> read_folder(const std::string& folder) {
    std::vector<PostmortemStore::Brief> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        const fs::path& path = entry.path();
        if (path.extension() == ".tmp") {
            std::error_code ignored;
            fs::remove(path, ignored);
        } else if (path.extension() == ending) {
            const auto object = read_object(path.string());
            auto brief = object ? brief_of(*object) : std::nullopt;
            if (brief && brief->id == path.stem()) {
                found.push_back(std::move(*brief));
            }
        }
    }
    return found;
}

Result<void> write_file(const std::string& path, const json::object& content) {
    std::error_code error;
    const fs::path folder = fs::path(path).parent_path();
    if (fs::create_directories(folder, error)) {
        fs::permissions(folder, fs::perms::owner_all, error);
    }
    return auth::write_secret_file(path, json::serialize(content));
}

void remove_files(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        std::error_code ignored;
        fs::remove(path, ignored);
    }
}

json::object shown(const PostmortemStore::Brief& brief) {
    return {
        {"id", brief.id},
        {"worker_id", brief.worker_id},
        {"died_at", brief.died_at},
        {"summary", brief.summary},
    };
}

} // namespace

PostmortemStore::PostmortemStore(Dependencies dependencies, Limits limits)
    : with_(std::move(dependencies)), limits_(limits), written_(with_.timers),
      tasks_(with_.timers.executor(), telemetry::log_task_failures(with_.log)) {}

std::string PostmortemStore::path_of(std::string_view id) const {
    return fmt::format("{}/{}{}", with_.folder, id, ending);
}

void PostmortemStore::insert(Brief brief) {
    const auto place = std::ranges::upper_bound(briefs_, brief.id, {}, &Brief::id);
    briefs_.insert(place, std::move(brief));
}

const PostmortemStore::Brief* PostmortemStore::last_of(std::string_view worker_id) const {
    const auto newest_first = briefs_ | std::views::reverse;
    const auto found = std::ranges::find(newest_first, worker_id, &Brief::worker_id);
    return found == newest_first.end() ? nullptr : &*found;
}

std::vector<std::string> PostmortemStore::drop_surplus() {
    std::vector<std::string> paths;
    std::map<std::string, std::size_t, std::less<>> kept;
    std::size_t all = 0;
    std::deque<Brief> rest;
    for (Brief& brief : briefs_ | std::views::reverse) {
        // One that is not written yet would come back on disk after its removal.
        const bool surplus = all >= limits_.in_all || kept[brief.model_ref] >= limits_.per_model;
        if (brief.written && surplus) {
            paths.push_back(path_of(brief.id));
            continue;
        }
        ++kept[brief.model_ref];
        ++all;
        rest.push_front(std::move(brief));
    }
    briefs_ = std::move(rest);
    return paths;
}

asio::awaitable<void> PostmortemStore::load() {
    auto found = co_await with_.pool.run([folder = with_.folder] { return read_folder(folder); });
    for (Brief& brief : found) {
        if (std::ranges::find(briefs_, brief.id, &Brief::id) == briefs_.end()) {
            insert(std::move(brief));
        }
    }
    if (auto surplus = drop_surplus(); !surplus.empty()) {
        co_await with_.pool.run([surplus = std::move(surplus)] { remove_files(surplus); });
    }
}

std::string PostmortemStore::record(Postmortem death) {
    const auto now = static_cast<std::uint64_t>(to_unix_ms(death.died_at));
    last_number_ = std::max(now, last_number_ + 1);
    const api::WorkerInfo& worker = death.report.worker;
    std::string id = fmt::format("{:013}-{}", last_number_, worker.id);
    insert(
        {.id = id,
         .worker_id = worker.id,
         .model_ref = worker.model_ref,
         .died_at = to_rfc3339(death.died_at),
         .summary = summary_of(death)}
    );
    tasks_.start(write(std::move(death), id), "write_postmortem");
    return id;
}

asio::awaitable<void> PostmortemStore::write(Postmortem death, std::string id) {
    const std::string path = path_of(id);
    const auto written =
        co_await with_.pool.run([death = std::move(death), id, path]() mutable -> Result<void> {
            LogEnd end = read_log_end(death.report.log_path, death.report.log_from);
            death.log = std::move(end.text);
            death.log_cut = end.cut;
            return write_file(path, to_json(death, id));
        });
    const auto brief = std::ranges::find(briefs_, id, &Brief::id);
    if (!written) {
        with_.log.error(
            "postmortem_not_written",
            "a post-mortem could not be kept",
            {{"postmortem", id}, {"cause", written.error().what}}
        );
        if (brief != briefs_.end()) {
            briefs_.erase(brief);
        }
    } else if (brief != briefs_.end()) {
        brief->written = true;
    }
    written_.notify_all();
    if (auto surplus = drop_surplus(); !surplus.empty()) {
        co_await with_.pool.run([surplus = std::move(surplus)] { remove_files(surplus); });
    }
}

asio::awaitable<Result<json::object>> PostmortemStore::find(std::string worker_id) {
    const TimePoint due = with_.timers.clock().now() + write_limit;
    const Brief* last = last_of(worker_id);
    while (last != nullptr && !last->written) {
        const bool notified = co_await written_.wait_until(due);
        if (!notified) {
            co_return fail(Errc::io, "the post-mortem is still being written");
        }
        last = last_of(worker_id);
    }
    if (last == nullptr) {
        co_return fail(Errc::not_found, "this worker has not died", "POSTMORTEM_NOT_FOUND");
    }
    const Brief brief = *last; // others may come while it is read
    auto object = co_await with_.pool.run([path = path_of(brief.id)] { return read_object(path); });
    if (!object) {
        co_return fail(Errc::io, "the post-mortem cannot be read");
    }
    json::array earlier;
    for (const Brief& other : briefs_ | std::views::reverse) {
        if (other.model_ref == brief.model_ref && other.id < brief.id) {
            earlier.push_back(shown(other));
        }
    }
    (*object)["earlier"] = std::move(earlier);
    co_return object;
}

asio::awaitable<void> PostmortemStore::stop() {
    co_await tasks_.join();
}

} // namespace rbee::hive
