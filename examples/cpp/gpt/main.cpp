// Trains a small GPT on a text file with ZeRO, on as many ranks as the `deepspeed` command starts. No Python.
#include <chrono>
#include <cmath>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include <ATen/Context.h>
#include <deepspeed/deepspeed.h>

#include "gpt.h"
#include "text.h"

namespace {

constexpr const char* kUsage =
    "Usage: gpt --deepspeed_config FILE [--text FILE] [--steps N] [--checkpoint FOLDER] [--resume]";
constexpr uint64_t kSeed = 7;

// Rank 0 speaks for all.
void print(const std::string& line) {
  if (deepspeed::rank() == 0) std::cout << line << std::endl;
}

struct Arguments {
  std::string config;
  std::string text = GPT_DEFAULT_TEXT;
  std::string checkpoint = "out/gpt";
  int64_t steps = 200;
  bool resume = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&] {
      return i + 1 < argc ? std::string(argv[++i]) : throw std::runtime_error(flag + " needs a value");
    };
    if (flag == "--deepspeed_config")
      arguments.config = value();
    else if (flag == "--text")
      arguments.text = value();
    else if (flag == "--steps")
      arguments.steps = std::stoll(value());
    else if (flag == "--checkpoint")
      arguments.checkpoint = value();
    else if (flag == "--resume")
      arguments.resume = true;
    else if (!flag.starts_with("--local_rank="))  // which the launcher adds
      throw std::runtime_error("unknown flag " + flag + ". " + kUsage);
  }
  if (arguments.config.empty()) throw std::runtime_error(kUsage);
  return arguments;
}

void train(const Arguments& arguments) {
  deepspeed::init_distributed();
  at::manual_seed(kSeed);
  GPT model(GPTOptions{});
  auto engine = deepspeed::initialize(model, arguments.config);
  int64_t next_window = 0;  // travels with the checkpoint as client state
  if (arguments.resume) next_window = std::stoll(engine->load_checkpoint(arguments.checkpoint));

  const TextWindows windows(arguments.text, model->context(), kSeed);
  const int64_t rows = engine->train_micro_batch_size_per_gpu();
  const int64_t last_step = engine->global_steps() + arguments.steps;
  while (engine->global_steps() < last_step) {
    const auto start = std::chrono::steady_clock::now();
    const Batch batch = windows.batch(next_window + deepspeed::rank() * rows, rows);
    next_window += deepspeed::world_size() * rows;

    const at::Tensor loss = engine->forward(batch.data, batch.target);
    engine->backward(loss);
    if (!engine->step() || (engine->global_steps() % 10 != 0 && engine->global_steps() != last_step)) continue;

    const double mean_loss = deepspeed::sum_over_ranks(loss.item<double>()) / deepspeed::world_size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const auto tokens = static_cast<double>(batch.data.numel() * deepspeed::world_size());
    print("step " + std::to_string(engine->global_steps()) + "  loss " + std::to_string(mean_loss) + "  " +
          std::to_string(std::lround(tokens / seconds.count())) + " tokens/s");
  }

  engine->save_checkpoint(arguments.checkpoint, "", std::to_string(next_window));
  print("saved " + arguments.checkpoint);
  print(to_text(model->generate(to_tokens("The "), 200)));  // on every rank: at stage 3 each holds a part of the weights
}

}  // namespace

int main(int argc, char** argv) {
  try {
    train(parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
