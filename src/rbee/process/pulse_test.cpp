#include "rbee/process/pulse.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>

namespace rbee::process {
namespace {

using namespace std::chrono_literals;

PulsePage page_of(std::string_view owner) {
    auto page = PulsePage::make(owner);
    EXPECT_TRUE(page) << page.error().what;
    return std::move(*page);
}

/// A process that takes a page, does something with it and stays until it is killed.
class Holder {
public:
    Holder(const PulsePage& page, const std::function<void(PulseHolder&)>& work) {
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            auto held = PulseHolder::take(page.fd());
            if (held) {
                work(*held);
            }
            const ssize_t told = ::write(ready[1], held ? "y" : "n", 1);
            while (told == 1) {
                ::pause();
            }
            std::_Exit(1);
        }
        char answer = '?';
        EXPECT_EQ(::read(ready[0], &answer, 1), 1);
        EXPECT_EQ(answer, 'y');
        ::close(ready[0]);
        ::close(ready[1]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() { kill(); }

    void kill() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            pid_ = 0;
        }
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

TEST(Pulse, A_fresh_page_says_nothing) {
    const PulsePage page = page_of("worker-1");
    const Pulse pulse = page.read();
    EXPECT_FALSE(pulse.held);
    EXPECT_FALSE(pulse.died);
    EXPECT_EQ(pulse.steps + pulse.busy + pulse.beats, 0U);
    EXPECT_FALSE(pulse.exit_code);
    EXPECT_EQ(pulse.fatal, "");
}

TEST(Pulse, The_other_process_shows_its_progress_and_its_death) {
    const PulsePage page = page_of("worker-1");
    Holder holder(page, [](PulseHolder& held) {
        held.activity().step(41);
        held.activity().step();
        held.activity().busy = 3;
        held.activity().patience_ms = 120'000;
        held.beat();
        held.leaving(7);
        held.fatal("the model is a teapot", 65);
        held.fatal("and more", 1); // too late
    });
    Pulse pulse = page.read();
    EXPECT_TRUE(pulse.held);
    EXPECT_FALSE(pulse.died);
    EXPECT_EQ(pulse.steps, 42U);
    EXPECT_EQ(pulse.busy, 3U);
    EXPECT_EQ(pulse.beats, 1U);
    EXPECT_EQ(pulse.patience, 2min);
    EXPECT_EQ(pulse.exit_code, 7);
    EXPECT_EQ(pulse.fatal, "the model is a teapot");
    EXPECT_EQ(pulse.fatal_code, 65);

    holder.kill();
    pulse = page.read();
    EXPECT_FALSE(pulse.held);
    EXPECT_TRUE(pulse.died);
    EXPECT_EQ(pulse.steps, 42U); // the page outlives its holder
}

TEST(Pulse, A_long_cause_is_cut) {
    const PulsePage page = page_of("worker-1");
    const Holder holder(page, [](PulseHolder& held) { held.fatal(std::string(9000, 'x'), 1); });
    EXPECT_EQ(page.read().fatal, std::string(pulse_fatal_max, 'x'));
}

TEST(Pulse, Only_one_may_hold_it) {
    const PulsePage page = page_of("worker-1");
    const Holder holder(page, [](PulseHolder&) {});
    const auto second = PulseHolder::take(page.fd());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST(Pulse, A_page_is_not_taken_from_the_dead) {
    const PulsePage page = page_of("worker-1");
    Holder(page, [](PulseHolder&) {}).kill();
    EXPECT_EQ(PulseHolder::take(page.fd()).error().code, Errc::conflict);
    EXPECT_TRUE(page.read().died);
}

TEST(Pulse, A_new_parent_finds_the_page_of_a_running_process) {
    PulsePage page = page_of("worker-1");
    Holder holder(page, [](PulseHolder& held) { held.activity().step(9); });
    const int fd = page.fd();
    const auto found = PulsePage::of_process(holder.pid(), fd, "worker-1");
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->fd(), -1);
    EXPECT_EQ(found->read().steps, 9U);
    EXPECT_TRUE(found->read().held);
    holder.kill();
    EXPECT_TRUE(found->read().died);
}

TEST(Pulse, Another_owner_and_another_file_are_refused) {
    const PulsePage page = page_of("worker-1");
    EXPECT_EQ(PulsePage::of_process(::getpid(), page.fd(), "worker-2").error().code, Errc::corrupt);
    EXPECT_EQ(PulsePage::of_process(::getpid(), 9999, "worker-1").error().code, Errc::not_found);
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(
        PulsePage::of_process(::getpid(), null.get(), "worker-1").error().code, Errc::corrupt
    );
    EXPECT_EQ(PulseHolder::take(null.get()).error().code, Errc::corrupt);
    const UniqueFd memory(::memfd_create("other", MFD_CLOEXEC)); // no seals, no size
    EXPECT_EQ(PulseHolder::take(memory.get()).error().code, Errc::corrupt);
}

TEST(Pulse, Nobody_can_cut_the_page_under_its_reader) {
    const PulsePage page = page_of("worker-1");
    EXPECT_NE(::ftruncate(page.fd(), 0), 0);
}

TEST(Pulse, A_name_that_does_not_fit_is_refused) {
    EXPECT_TRUE(PulsePage::make(std::string(pulse_owner_max, 'w')));
    EXPECT_EQ(
        PulsePage::make(std::string(pulse_owner_max + 1, 'w')).error().code, Errc::invalid_argument
    );
}

TEST(Pulse, The_descriptor_can_be_closed_and_the_page_moved) {
    PulsePage page = page_of("worker-1");
    const Holder holder(page, [](PulseHolder& held) { held.beat(); });
    page.close_fd();
    EXPECT_EQ(page.fd(), -1);
    const PulsePage moved = std::move(page);
    EXPECT_EQ(moved.read().beats, 1U);
}

} // namespace
} // namespace rbee::process
