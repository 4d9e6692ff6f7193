// Optimizer kernels beside a read-modify-write stream over the same arrays, in GB/s: pairs, interleaved, so that what
// else the machine does meets both. A ratio is taken inside a pair. A pass takes as long as its slowest thread, in that
// thread's processor time: what others do meanwhile on a busy core is not counted (what they take of the memory is).
//   optimizer_bandwidth [--numel N] [--threads N] [--rounds N]
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <barrier>
#include <cstdio>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "kernels/adagrad_kernels.h"
#include "kernels/adam_kernels.h"
#include "kernels/lamb_kernels.h"
#include "kernels/lion_kernels.h"
#include "kernels/norm_kernels.h"
#include "kernels/rmw_stream.h"
#include "kernels/sgd_kernels.h"

namespace deepspeed::benchmarks {
namespace {

using kernels::UpdateRange;

constexpr std::align_val_t kAlignment{64};

struct Free {
  void operator()(void* data) const { ::operator delete(data, kAlignment); }
};

template <class Element>
std::unique_ptr<Element, Free> make_array(int64_t numel, Element value) {
  auto* const data = static_cast<Element*>(::operator new(static_cast<size_t>(numel) * sizeof(Element), kAlignment));
  std::fill_n(data, numel, value);
  return std::unique_ptr<Element, Free>(data);
}

/// What an optimizer has of one lane.
struct Arrays {
  explicit Arrays(int64_t numel)
      : master(make_array(numel, 1.0F)),
        first(make_array(numel, 0.01F)),
        second(make_array(numel, 0.01F)),
        gradient(make_array(numel, 0.01F)),
        compute(make_array<uint16_t>(numel, 0)) {}
  std::unique_ptr<float, Free> master, first, second, gradient;
  std::unique_ptr<uint16_t, Free> compute;
};

/// A kernel and its stream, each over elements [begin, end).
struct Row {
  std::string name;
  int64_t bytes;  // moved an element: reads and writes that the update needs
  std::function<void(int64_t begin, int64_t end)> kernel;
  std::function<void(int64_t begin, int64_t end)> stream;
};

UpdateRange range_of(const Arrays& a, int64_t begin, int64_t end, bool with_compute) {
  return {.master = a.master.get() + begin,
          .gradient = a.gradient.get() + begin,
          .compute = with_compute ? a.compute.get() + begin : nullptr,
          .numel = end - begin,
          .gradient_scale = 0.5F};
}

Row row(std::string name, const Arrays& a, int num_updated, bool with_compute,
        std::function<void(const UpdateRange&, int64_t begin)> kernel) {
  const auto stream = [&a, num_updated, with_compute](int64_t begin, int64_t end) {
    float* const updated[] = {a.master.get() + begin, a.first.get() + begin, a.second.get() + begin};
    rmw_stream({updated, static_cast<size_t>(num_updated)}, a.gradient.get() + begin,
               with_compute ? a.compute.get() + begin : nullptr, end - begin);
  };
  return {
      std::move(name), 8 * num_updated + 4 + (with_compute ? 2 : 0),
      [&a, with_compute, kernel](int64_t begin, int64_t end) { kernel(range_of(a, begin, end, with_compute), begin); },
      stream};
}

std::vector<Row> all_rows(const Arrays& a) {
  std::vector<Row> rows;
  for (const bool compute : {false, true}) {
    const std::string suffix = compute ? ", bf16 weights" : "";
    rows.push_back(row("adam" + suffix, a, 3, compute, [&a](const UpdateRange& range, int64_t begin) {
      kernels::adam({.range = range, .exp_avg = a.first.get() + begin, .exp_avg_sq = a.second.get() + begin});
    }));
    rows.push_back(row("sgd, momentum" + suffix, a, 2, compute, [&a](const UpdateRange& range, int64_t begin) {
      kernels::sgd({.range = range, .momentum_buffer = a.first.get() + begin, .momentum = 0.9F});
    }));
    rows.push_back(row("adagrad" + suffix, a, 2, compute, [&a](const UpdateRange& range, int64_t begin) {
      kernels::adagrad({.range = range, .sum = a.first.get() + begin});
    }));
    rows.push_back(row("lion" + suffix, a, 2, compute, [&a](const UpdateRange& range, int64_t begin) {
      kernels::lion({.range = range, .exp_avg = a.first.get() + begin});
    }));
    rows.push_back(row("lamb, 2nd pass" + suffix, a, 1, compute, [&a](const UpdateRange& range, int64_t begin) {
      kernels::lamb_apply({.range = range, .update = a.gradient.get() + begin});
    }));
  }
  rows.push_back({"norm", 4,
                  [&a](int64_t begin, int64_t end) {
                    volatile double sum =
                        kernels::sum_of_squares(a.gradient.get() + begin, core::Dtype::kFloat32, end - begin);
                    (void)sum;
                  },
                  [&a](int64_t begin, int64_t end) {
                    volatile float sum = read_stream(a.gradient.get() + begin, end - begin);
                    (void)sum;
                  }});
  return rows;
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Runs a pass on threads that each have their own part of the arrays.
class Threads {
 public:
  Threads(int count, int64_t numel) : numel_(numel), start_(count), end_(count), seconds_(count) {
    for (int index = 1; index < count; ++index) threads_.emplace_back([this, index] { work(index); });
  }
  ~Threads() {
    pass_ = nullptr;
    start_.arrive_and_wait();
    for (std::thread& thread : threads_) thread.join();
  }

  double seconds(const std::function<void(int64_t, int64_t)>& pass) {
    pass_ = &pass;
    start_.arrive_and_wait();
    run(0);
    end_.arrive_and_wait();
    return *std::max_element(seconds_.begin(), seconds_.end());
  }

 private:
  void work(int index) {
    while (true) {
      start_.arrive_and_wait();
      if (pass_ == nullptr) return;
      run(index);
      end_.arrive_and_wait();
    }
  }
  void run(int index) {
    const auto count = static_cast<int64_t>(threads_.size()) + 1;
    const auto cut = [&](int64_t i) { return i == count ? numel_ : numel_ / count * i / 16 * 16; };
    const double begin = thread_seconds();
    (*pass_)(cut(index), cut(index + 1));
    seconds_[static_cast<size_t>(index)] = thread_seconds() - begin;
  }

  int64_t numel_;
  std::barrier<> start_, end_;
  std::vector<double> seconds_;
  std::vector<std::thread> threads_;
  const std::function<void(int64_t, int64_t)>* pass_ = nullptr;
};

std::string spread(std::vector<double> values, const char* format) {
  std::sort(values.begin(), values.end());
  const auto text = [&](double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, format, value);
    return std::string(buffer);
  };
  const size_t last = values.size() - 1;
  return text(values[values.size() / 2]) + " [" + text(values[last / 4]) + " " + text(values[last - last / 4]) + "]";
}

void measure(int threads_count, int64_t numel, int rounds) {
  const Arrays arrays(numel);
  const std::vector<Row> rows = all_rows(arrays);
  struct Seconds {
    std::vector<double> kernel, stream;
  };
  std::vector<Seconds> seconds(rows.size());
  {
    Threads threads(threads_count, numel);
    for (int round = -1; round < rounds; ++round) {  // the first is not counted
      for (size_t i = 0; i < rows.size(); ++i) {
        const bool kernel_first = round % 2 == 0;
        const double first = threads.seconds(kernel_first ? rows[i].kernel : rows[i].stream);
        const double second = threads.seconds(kernel_first ? rows[i].stream : rows[i].kernel);
        if (round < 0) continue;
        seconds[i].kernel.push_back(kernel_first ? first : second);
        seconds[i].stream.push_back(kernel_first ? second : first);
      }
    }
  }
  std::printf("%lld elements, %d thread(s), %d rounds; median [quartiles]\n\n", static_cast<long long>(numel),
              threads_count, rounds);
  std::printf("| kernel | bytes | stream, GB/s | kernel, GB/s | kernel / stream |\n|---|---|---|---|---|\n");
  for (size_t i = 0; i < rows.size(); ++i) {
    const double gigabytes = static_cast<double>(rows[i].bytes * numel) * 1e-9;
    std::vector<double> kernel, stream, ratio;
    for (size_t j = 0; j < seconds[i].kernel.size(); ++j) {
      kernel.push_back(gigabytes / seconds[i].kernel[j]);
      stream.push_back(gigabytes / seconds[i].stream[j]);
      ratio.push_back(seconds[i].stream[j] / seconds[i].kernel[j]);
    }
    std::printf("| %s | %lld | %s | %s | %s |\n", rows[i].name.c_str(), static_cast<long long>(rows[i].bytes),
                spread(stream, "%.1f").c_str(), spread(kernel, "%.1f").c_str(), spread(ratio, "%.3f").c_str());
  }
}

}  // namespace
}  // namespace deepspeed::benchmarks

int main(int argc, char** argv) {
  CLI::App app("Optimizer kernels beside a read-modify-write stream over the same arrays");
  int64_t numel = int64_t{1} << 24;
  int threads = 1;
  int rounds = 21;
  app.add_option("--numel", numel, "elements of each array")->check(CLI::Range(int64_t{1024}, int64_t{1} << 32));
  app.add_option("--threads", threads, "each has its part of the arrays")->check(CLI::Range(1, 1024));
  app.add_option("--rounds", rounds, "counted pairs of passes")->check(CLI::Range(1, 100'000));
  CLI11_PARSE(app, argc, argv);
  deepspeed::benchmarks::measure(threads, numel, rounds);
  return 0;
}
