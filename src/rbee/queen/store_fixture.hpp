#pragma once

#include "rbee/queen/node_store.hpp"
#include "rbee/store/database.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "support/temp_dir.hpp"

namespace rbee::queen {

/// A store of the queen in a real database, which open() closes and opens again.
template <typename Store>
class StoreTest : public testing::Test {
protected:
    StoreTest() { open(); }

    void open() {
        store_.reset();
        database_.reset();
        database_ = store::Database::open(folder_ / "beehives.db", NodeStore::migrations()).value();
        store_ = std::make_unique<Store>(*database_);
    }
    template <typename T>
    T run(boost::asio::awaitable<T> work) {
        std::optional<T> out;
        boost::asio::co_spawn(
            context_,
            std::move(work),
            [&](const std::exception_ptr& failure, T value) {
                EXPECT_FALSE(failure);
                out.emplace(std::move(value));
            }
        );
        context_.restart();
        context_.run();
        return std::move(*out);
    }

    test::TempDir folder_;
    boost::asio::io_context context_{1};
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<Store> store_;
};

} // namespace rbee::queen
