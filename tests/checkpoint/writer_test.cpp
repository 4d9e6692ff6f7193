#include "checkpoint/writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>

#include "core/file.h"
#include "deepspeed/error.h"
#include "sample.h"

namespace {

std::set<std::filesystem::path> synced;  // everything that this program passed to fsync

}  // namespace

// In the C library's place, for the whole test program.
extern "C" int fsync(int fd) {
  synced.insert(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)));
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

TEST(CheckpointWriter, TheParentOfEveryNewFolderIsSynced) {
  const auto folder = scratch_path("synced");
  synced.clear();
  save_sample(folder / "runs" / "today", "epoch1/step2", 1);
  for (const auto& parent :
       {folder.parent_path(), folder, folder / "runs", folder / "runs" / "today", folder / "runs" / "today" / "epoch1"})
    EXPECT_TRUE(synced.contains(fs::canonical(parent))) << parent;
}

TEST(CheckpointWriter, OverwritingATagLeavesOnlyTheNewOneAndForeignFiles) {
  const auto folder = scratch_path("overwrite");
  save_sample(folder, "best", 1, 4);
  std::ofstream(folder / "best" / "notes.txt") << "mine";
  save_sample(folder, "best", 2, 1);
  auto reader = CheckpointReader::open(folder);
  EXPECT_EQ(checked_seed(reader), 2);
  EXPECT_EQ(core::read_file(folder / "best" / "notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(folder / "best" / "rank_1.safetensors"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2) << "best and latest";
  EXPECT_EQ(core::read_file(folder / kLatestFile), "best");
}

TEST(CheckpointWriter, WithoutExchangeTwoRenamesKeepTheOldOneReadable) {
  const auto folder = scratch_path("two_renames");
  save_sample(folder, "best", 1);
  fs::rename(folder / "best", folder / "keep");
  save_sample(folder, "best", 2);
  fs::rename(folder / "best", folder / "best.saving");
  fs::rename(folder / "keep", folder / "best");
  const auto replaced = detail::publish_by_two_renames(folder, "best");
  auto reader = CheckpointReader::open(folder);
  EXPECT_EQ(checked_seed(reader), 2);
  ASSERT_TRUE(replaced.has_value());
  // A crash between the two renames: only the replaced folder is there.
  fs::remove_all(folder / "best");
  auto old_reader = CheckpointReader::open(folder);
  EXPECT_EQ(checked_seed(old_reader), 1);
  EXPECT_EQ(newest_complete_tag(folder), "best");
  save_sample(folder, "other", 3);
  EXPECT_TRUE(fs::exists(folder / "best" / kManifestFile)) << "the next save puts it back";
  EXPECT_FALSE(fs::exists(*replaced));
}

TEST(CheckpointWriter, AFullDiskKeepsTheOldCheckpoint) {
  const auto folder = scratch_path("full");
  save_sample(folder, "best", 1);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  for (rlim_t bytes = 0; bytes < 1600; bytes += 40) {
    const rlimit small{bytes, old_limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    bool has_failed = false;
    try {
      save_sample(folder, "best", 2);
    } catch (const IoError&) {
      has_failed = true;
    }
    setrlimit(RLIMIT_FSIZE, &old_limit);
    if (!has_failed) break;
    auto reader = CheckpointReader::open(folder);
    ASSERT_EQ(checked_seed(reader), 1) << bytes;
    ASSERT_FALSE(fs::exists(folder / "best.saving"));
  }
  save_sample(folder, "best", 2);
  auto reader = CheckpointReader::open(folder);
  EXPECT_EQ(checked_seed(reader), 2);
}

TEST(CheckpointWriter, TwoSavesOfOneTagAtOnceAreRefusedAndLeaveTheFirstAlone) {
  const auto folder = scratch_path("twice");
  CheckpointWriter first(folder, "t", 0, 1);
  first.prepare();
  CheckpointWriter second(folder, "t", 0, 1);
  EXPECT_NE(message_of<CheckpointError>([&] { second.prepare(); }).find("another process"), std::string::npos);
  save_sample(folder, "u", 1);  // another tag may be saved meanwhile
  const float value = 1;
  first.add(whole_tensor("w", kWeightState, io::ElementType::kFloat32, {1}), &value);
  CheckpointWriter::Commit commit;
  commit.reports = {first.write()};
  first.commit(commit);
  EXPECT_EQ(CheckpointReader::open(folder).tag(), "t");
}

TEST(CheckpointWriter, LeftoversAreRemovedButNotAFolderOfTheUsers) {
  const auto folder = scratch_path("leftovers");
  fs::create_directories(folder / "dead.saving");
  std::ofstream(folder / "dead.saving" / "rank_0.safetensors.77.tmp") << "x";
  std::ofstream(folder / "latest.77.tmp") << "x";
  fs::create_directories(folder / "notes.saving");
  std::ofstream(folder / "notes.saving" / "novel.txt") << "x";
  save_sample(folder, "t", 1);
  EXPECT_FALSE(fs::exists(folder / "dead.saving"));
  EXPECT_FALSE(fs::exists(folder / "latest.77.tmp"));
  EXPECT_TRUE(fs::exists(folder / "notes.saving" / "novel.txt"));
}

TEST(CheckpointWriter, WhatDoesNotFitTogetherIsRefusedAndNothingIsLeft) {
  const auto folder = scratch_path("refused");
  const float values[2] = {1, 2};
  {
    CheckpointWriter writer(folder, "t", 0, 1);
    writer.prepare();
    EXPECT_THROW(writer.add({"w", "weight", io::ElementType::kFloat32, {2}, {{0}, {3}}, {0, 1}}, values), ValueError);
    writer.add({"w", "weight", io::ElementType::kFloat32, {2}, {{0}, {2}}, {0, 1}}, values);
    CheckpointWriter::Commit commit;
    EXPECT_NE(message_of<CheckpointError>([&] { writer.commit(commit); }).find("0 ranks, expected 1"),
              std::string::npos);
    commit.reports = {writer.write()};
    EXPECT_NE(message_of<CheckpointError>([&] { writer.commit(commit); }).find("no rank wrote"), std::string::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder));
  for (const char* tag : {"", ".", "a/../b", "/a", "a//b", "latest", "x.saving", "x.replaced"}) {
    EXPECT_THROW(CheckpointWriter(folder, tag, 0, 1), ValueError) << tag;
  }
  EXPECT_NO_THROW(CheckpointWriter(folder, "epoch1/step2", 0, 1));
}

}  // namespace
}  // namespace deepspeed::checkpoint
