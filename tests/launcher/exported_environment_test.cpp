#include "launcher/exported_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

TEST(ExportedVariables, AreThoseOfThePrefixesAndNoOthers) {
  const Environment exported = exported_variables({{"NCCL_DEBUG", "INFO"},
                                                   {"TORCH_LOGS", "all"},
                                                   {"UCX_TLS", "tcp"},
                                                   {"MLFLOW_RUN_ID", "7"},
                                                   {"CUDA_VISIBLE_DEVICES", "0"},
                                                   {"PATH", "/bin"},
                                                   {"XNCCL", "1"}},
                                                  "/work");
  EXPECT_EQ(exported, (Environment{{"MLFLOW_RUN_ID", "7"},
                                   {"NCCL_DEBUG", "INFO"},
                                   {"PYTHONPATH", "/work"},
                                   {"TORCH_LOGS", "all"},
                                   {"UCX_TLS", "tcp"}}));
}

TEST(ExportedVariables, NamesThatAShellCouldNotExportStayHere) {
  const Environment exported = exported_variables({{"NCCL_A;touch owned;B", "x"}, {"DS_$(id)", "x"}}, "/work");
  EXPECT_EQ(exported, (Environment{{"PYTHONPATH", "/work"}}));
}

TEST(ExportedVariables, PythonPathBeginsWithTheFolder) {
  EXPECT_EQ(exported_variables({{"PYTHONPATH", "/lib"}}, "/work").at("PYTHONPATH"), "/work:/lib");
}

TEST(ExportedVariables, InAnAiscJobEachHostKeepsItsNetworkDevices) {
  const Environment devices = {{"NCCL_IB_HCA", "mlx5"}, {"UCX_NET_DEVICES", "ib0"}};
  EXPECT_EQ(exported_variables(devices, "/").count("NCCL_IB_HCA"), 1u);
  Environment in_job = devices;
  in_job["AISC_JOB_NAME"] = "job";
  const Environment exported = exported_variables(in_job, "/");
  EXPECT_EQ(exported.count("NCCL_IB_HCA") + exported.count("UCX_NET_DEVICES"), 0u);
}

TEST(EnvironmentFile, ValuesAreTheRestOfTheLineAsItIs) {
  EXPECT_EQ(parse_environment_file("# note\n\n A=1\r\nexport B=x = \"y\" $(id) # z\nC=\nA=2", "f"),
            (Environment{{"A", "2"}, {"B", "x = \"y\" $(id) # z"}, {"C", ""}}));
}

TEST(EnvironmentFile, ErrorsNameLineAndColumn) {
  const std::pair<std::string, const char*> cases[] = {
      {"A=1\nB C=2\n", "f line 2, column 2: "}, {"=x", "f line 1, column 1: "},
      {"  9A=x", "f line 1, column 3: "},       {"lonely", "f line 1, column 7: "},
      {"A;B=x", "f line 1, column 2: "},        {std::string("A=x\0y", 5), "f line 1, column 4: "}};
  for (const auto& [text, where] : cases) {
    try {
      parse_environment_file(text, "f");
      ADD_FAILURE() << text;
    } catch (const ValueError& error) {
      EXPECT_THAT(error.what(), HasSubstr(where)) << text;
    }
  }
}

TEST(DescribeVariables, SecretsAreMasked) {
  EXPECT_EQ(describe_variables({{"A", "b c"}, {"HF_TOKEN", "hf_1"}, {"my_api_key", "k"}, {"DB_PASSWORD", "p"}}),
            "A='b c' DB_PASSWORD=*** HF_TOKEN=*** my_api_key=***");
  EXPECT_EQ(describe_variables({{"DB_PWD", "p"}, {"GIT_PAT", "g"}, {"PYTHONPATH", "/lib"}, {"S_DSN", "d"}}),
            "DB_PWD=*** GIT_PAT=*** PYTHONPATH=/lib S_DSN=***");
}

TEST(DescribeVariables, ValuesThatLookLikeSecretsAreMasked) {
  EXPECT_EQ(describe_variables({{"MLFLOW_TRACKING_URI", "https://user:pw@host/x"},
                                {"MLFLOW_PLAIN_URI", "https://host/x"},
                                {"MLFLOW_STORE", "Account=a;AccountKey=k=="}}),
            "MLFLOW_PLAIN_URI=https://host/x MLFLOW_STORE=*** MLFLOW_TRACKING_URI=***");
}

}  // namespace
}  // namespace deepspeed::launcher
