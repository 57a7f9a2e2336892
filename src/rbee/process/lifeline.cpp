#include "rbee/process/lifeline.hpp"

#include "rbee/runtime/quiet.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace rbee::process {

namespace asio = boost::asio;

Result<Lifeline> Lifeline::make() {
    std::array<int, 2> ends{};
    // No pipe: a write to one whose reader has died would kill the writer.
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail(
            Errc::resources, "cannot make a lifeline: " + std::generic_category().message(errno)
        );
    }
    return Lifeline(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

bool Lifeline::allow_survival() const {
    const char word = '+';
    return ::send(parent_end_.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

struct LifelineWatch::State : std::enable_shared_from_this<LifelineWatch::State> {
    State(const asio::any_io_executor& executor, UniqueFd fd, std::function<void()> callback)
        : pipe(executor, fd.release()), on_end(std::move(callback)) {}

    void read() {
        pipe.async_read_some(
            asio::buffer(words),
            [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                if (!self->on_end) {
                    return;
                }
                if (!error) {
                    self->may_survive = true;
                    self->read();
                    return;
                }
                const auto callback = std::exchange(self->on_end, nullptr);
                callback();
            }
        );
    }

    asio::posix::stream_descriptor pipe;
    std::function<void()> on_end; ///< Empty once called or when the watch is gone.
    std::array<char, 16> words{};
    bool may_survive = false;
};

LifelineWatch::LifelineWatch(
    const asio::any_io_executor& executor, UniqueFd child_end, std::function<void()> on_end
)
    : state_(std::make_shared<State>(executor, std::move(child_end), std::move(on_end))) {
    state_->read();
}

LifelineWatch::~LifelineWatch() {
    state_->on_end = nullptr;
    runtime::close_quietly(state_->pipe);
}

bool LifelineWatch::may_survive() const {
    return state_->may_survive;
}

std::unique_ptr<LifelineWatch>
watch_lifeline(const asio::any_io_executor& executor, int fd, std::function<void()> on_end) {
    // A grandchild must not inherit it.
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return std::make_unique<LifelineWatch>(executor, UniqueFd(fd), std::move(on_end));
}

} // namespace rbee::process
