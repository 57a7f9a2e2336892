#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/labels.h>
#include <prometheus/registry.h>

#include <string>
#include <vector>

namespace rbee::telemetry {

/// The metrics of one program. Ask for a series once and keep the reference: it stays valid as long
/// as this object, and using it is one atomic operation. Asking again for the same name and labels
/// gives the same series. Thread-safe. A malformed name, or one name used for two kinds, is a
/// defect and stops the program. Label values must come from a small fixed set, never from a
/// client.
class Metrics {
public:
    using Labels = prometheus::Labels;

    Metrics() = default;
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;
    ~Metrics() = default;

    [[nodiscard]] prometheus::Counter&
    counter(const std::string& name, const std::string& help, const Labels& labels = {});

    [[nodiscard]] prometheus::Gauge&
    gauge(const std::string& name, const std::string& help, const Labels& labels = {});

    /// `buckets` are upper bounds in ascending order; +Inf is added.
    [[nodiscard]] prometheus::Histogram& histogram(
        const std::string& name,
        const std::string& help,
        const std::vector<double>& buckets,
        const Labels& labels = {}
    );

    /// Everything in Prometheus' text format 0.0.4 (content type text/plain; version=0.0.4).
    [[nodiscard]] std::string text() const;

private:
    prometheus::Registry registry_;
};

} // namespace rbee::telemetry
