// How long after `kill -9` of a worker its hive sends nothing there any more, and when the process
// has gone, which is when pidfd, SIGCHLD and closed sockets tell.
//   detection --worker PATH [--model PATH] [--kills N] [--mib N,N,...] [--load idle|busy|both]
// The workers are processes of the given program under the hive's own supervisor, in this process;
// `--mib` needs rbee-bad-worker. Each row is one table line; exit code 1 when a target is missed:
// p50 < 1 ms, p99 < 10 ms idle and < 50 ms with every processor busy.
#include "rbee/api/json.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/process/death_watch.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <stdlib.h> // mkdtemp
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace hive = rbee::hive;
using rbee::TimePoint;
using namespace std::chrono_literals;

struct Options {
    std::string worker;
    std::string model = "/dev/null";
    std::vector<std::uint64_t> mib = {0};
    std::uint32_t kills = 200;
    std::string load = "both";
};

struct Sample {
    double routing_ms = 0; ///< Until the registry has the worker as not routable.
    double gone_ms = 0;    ///< Until the process has gone and is reaped.
};

/// Processes that keep every processor busy.
class Burners {
public:
    explicit Burners(bool wanted) {
        for (unsigned i = 0; wanted && i < std::thread::hardware_concurrency(); ++i) {
            const pid_t pid = ::fork();
            if (pid == 0) {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL); // NOLINT(cppcoreguidelines-pro-type-vararg)
                for (volatile unsigned long n = 0;;) {
                    n = n + 1;
                }
            }
            pids_.push_back(pid);
        }
    }
    Burners(const Burners&) = delete;
    Burners& operator=(const Burners&) = delete;
    ~Burners() {
        for (const pid_t pid : pids_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
    }

private:
    std::vector<pid_t> pids_;
};

/// A supervisor with all that it needs, and the kills.
class Bench {
public:
    explicit Bench(Options options) : options_(std::move(options)) {
        std::string folder = "/tmp/rbee-detection-XXXXXX";
        folder_ = ::mkdtemp(folder.data());
        settings_.worker.binary = options_.worker;
        settings_.worker.log_dir = folder_ + "/logs";
        settings_.worker.ports = {.first = 0, .last = 0};
        settings_.worker.environment = {"PATH=/usr/bin:/bin", "LLORCH_LOG_FORMAT=json"};
        supervisor_.set_death_watch(death_watch_);
        registry_.on_change([this] {
            const auto* entry = registry_.find(worker_);
            if (!stopped_ && entry != nullptr && !rbee::domain::routable(entry->info.state)) {
                stopped_ = timers_.clock().now();
            }
        });
        supervisor_.on_exit([this](const hive::Supervisor::ExitReport& report) {
            gone_ = report.died;
            progress_.notify_all();
        });
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench() { std::filesystem::remove_all(folder_); }

    /// One row of the table.
    std::vector<Sample> row(std::uint64_t mib) {
        std::vector<Sample> samples;
        asio::co_spawn(loop_, run(mib, samples), [this](const std::exception_ptr& failure) {
            if (failure) {
                std::rethrow_exception(failure);
            }
            loop_.stop();
        });
        loop_.restart();
        loop_.run();
        return samples;
    }

private:
    asio::awaitable<void> run(std::uint64_t mib, std::vector<Sample>& samples) {
        for (std::uint32_t i = 0; i < options_.kills; ++i) {
            samples.push_back(co_await one(mib));
        }
    }

    asio::awaitable<Sample> one(std::uint64_t mib) {
        hive::Supervisor::Order order;
        order.model = {
            {rbee::domain::ModelRef::Provider::name, "bench"}, "bench", options_.model, 1000
        };
        order.backend = "cpu";
        order.engine_args = mib == 0
                                ? std::vector<std::string>()
                                : std::vector<std::string>{"--resident-mib", std::to_string(mib)};
        if (options_.model != "/dev/null") {
            order.engine_args = {"-t", "1", "-tb", "1"};
        }
        const auto started = supervisor_.spawn(order);
        if (!started) {
            throw std::runtime_error(started.error().what);
        }
        co_await serving(started->id);
        worker_ = started->id;
        stopped_.reset();
        gone_.reset();
        std::atomic<TimePoint> killed;
        // From another thread, while the loop sleeps as it does when nothing happens.
        std::thread killer([&killed, pid = static_cast<pid_t>(*started->pid)] {
            std::this_thread::sleep_for(20ms);
            killed = std::chrono::steady_clock::now();
            ::kill(pid, SIGKILL);
        });
        while (!gone_) {
            co_await progress_.wait();
        }
        killer.join();
        const auto ms = [&](TimePoint at) {
            return std::chrono::duration<double, std::milli>(at - killed.load()).count();
        };
        co_return Sample{ms(stopped_.value_or(*gone_)), ms(*gone_)};
    }

    /// Returns when the worker has loaded, and registers that.
    asio::awaitable<void> serving(std::string id) {
        rbee::api::ApiClient client = supervisor_.client_for(id);
        while (true) {
            const auto answer = co_await client.call({.method = "GET", .target = "/v1/ready"}, {});
            if (answer && rbee::api::get_bool(*answer, "ready").value_or(std::nullopt) == true) {
                break;
            }
            co_await timers_.sleep_for(5ms);
        }
        rbee::api::ReadyNotice notice;
        notice.worker_id = std::move(id);
        notice.slots_total = 4;
        if (const auto done = supervisor_.report(notice); !done) {
            throw std::runtime_error(done.error().what);
        }
    }

    Options options_;
    std::string folder_;
    hive::Settings settings_;
    asio::io_context loop_{1};
    rbee::runtime::SystemTimers timers_{loop_.get_executor()};
    rbee::telemetry::Logger log_ =
        *rbee::telemetry::Logger::open({.component = "bench", .level = rbee::telemetry::Level::off}
        );
    rbee::telemetry::Metrics metrics_;
    hive::HiveMetrics hive_metrics_{metrics_};
    rbee::http::Reaper reaper_{loop_.get_executor()};
    rbee::http::Client client_{loop_.get_executor(), reaper_};
    rbee::auth::Authenticator tokens_;
    hive::WorkerRegistry registry_{timers_.clock()};
    hive::ChildLauncher launcher_{loop_.get_executor()};
    rbee::process::DeathWatch death_watch_{loop_.get_executor()};
    hive::Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
    rbee::runtime::Notifier progress_{timers_};
    std::string worker_;
    std::optional<TimePoint> stopped_;
    std::optional<TimePoint> gone_;
};

double at_share(std::vector<double> values, double share) {
    std::ranges::sort(values);
    const auto last = static_cast<double>(values.size() - 1);
    return values.at(static_cast<std::size_t>(share * last + 0.5));
}

/// Prints one line; false when a target is missed.
bool print_row(std::uint64_t mib, bool busy, const std::vector<Sample>& samples) {
    std::vector<double> routing;
    std::vector<double> gone;
    for (const Sample& sample : samples) {
        routing.push_back(sample.routing_ms);
        gone.push_back(sample.gone_ms);
    }
    const double p50 = at_share(routing, 0.5);
    const double p99 = at_share(routing, 0.99);
    fmt::print(
        "| {:4.1f} GiB | {} | {} | {:.3f} | {:.3f} | {:.3f} | {:.2f} | {:.2f} | {:.2f} |\n",
        static_cast<double>(mib) / 1024,
        busy ? "busy" : "idle",
        samples.size(),
        p50,
        p99,
        at_share(routing, 1),
        at_share(gone, 0.5),
        at_share(gone, 0.99),
        at_share(gone, 1)
    );
    std::fflush(stdout);
    return p50 < 1 && p99 < (busy ? 50 : 10);
}

int run(const Options& options) {
    fmt::print("| resident | processors | kills | routing stops p50 ms | p99 | max | process gone "
               "p50 ms | "
               "p99 | max |\n|---|---|---|---|---|---|---|---|---|\n");
    Bench bench(options);
    bool good = true;
    for (const bool busy : {false, true}) {
        if (options.load != "both" && options.load != (busy ? "busy" : "idle")) {
            continue;
        }
        const Burners burners(busy);
        for (const std::uint64_t mib : options.mib) {
            good = print_row(mib, busy, bench.row(mib)) && good;
        }
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures how soon the death of a worker is noticed.");
    app.add_option("--worker", options.worker, "Worker program")->required();
    app.add_option("--model", options.model, "Model to load")->capture_default_str();
    app.add_option("--kills", options.kills, "Kills for each row")->capture_default_str();
    app.add_option("--mib", options.mib, "Resident memory")->delimiter(',')->capture_default_str();
    app.add_option("--load", options.load, "Other work")
        ->check(CLI::IsMember({"idle", "busy", "both"}))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& failure) {
        fmt::print(stderr, "detection: {}\n", failure.what());
        return EXIT_FAILURE;
    }
}
