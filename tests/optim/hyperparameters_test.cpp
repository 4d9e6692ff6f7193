#include "optim/hyperparameters.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

using nlohmann::json;

std::string error_of(std::string_view type, const json& params) {
  try {
    parse_hyperparameters(type, params);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Hyperparameters, ReadsWhatIsThereAndKeepsDefaults) {
  const auto h = parse_hyperparameters("AdamW", {{"lr", 2e-5}, {"betas", {0.8, 0.95}}, {"weight_decay", 3e-7}});
  EXPECT_EQ(h.lr, 2e-5);
  EXPECT_EQ(h.betas[1], 0.95);
  EXPECT_EQ(h.weight_decay, 3e-7);
  EXPECT_EQ(h.eps, 1e-8);
}

TEST(Hyperparameters, NullParamsMeanDefaults) {
  EXPECT_EQ(parse_hyperparameters("sgd", nullptr).lr, 1e-3);
  EXPECT_EQ(parse_hyperparameters("adagrad", nullptr).lr, 1e-2);
  EXPECT_EQ(parse_hyperparameters("adagrad", nullptr).eps, 1e-10);
  EXPECT_EQ(parse_hyperparameters("lamb", nullptr).max_coeff, 10.0);
}

TEST(Hyperparameters, AdamIsAdamWUnlessToldOtherwise) {
  EXPECT_TRUE(parse_hyperparameters("Adam", json::object()).adam_w_mode);
  EXPECT_FALSE(parse_hyperparameters("Adam", {{"adam_w_mode", false}}).adam_w_mode);
  EXPECT_TRUE(parse_hyperparameters("AdamW", {{"adam_w_mode", false}}).adam_w_mode);
}

TEST(Hyperparameters, TorchAdamTakesTorchsWeightDecay) {
  EXPECT_EQ(parse_hyperparameters("AdamW", {{"torch_adam", true}}).weight_decay, 0.01);
  EXPECT_EQ(parse_hyperparameters("Adam", {{"torch_adam", true}, {"adam_w_mode", false}}).weight_decay, 0.0);
  EXPECT_EQ(parse_hyperparameters("AdamW", {{"torch_adam", true}, {"weight_decay", 0.1}}).weight_decay, 0.1);
}

TEST(Hyperparameters, FlagsThatChooseAnImplementationAreAccepted) {
  const json params = {{"fused", true}, {"foreach", nullptr}, {"capturable", false}, {"differentiable", false}};
  EXPECT_EQ(parse_hyperparameters("adam", params).lr, 1e-3);
}

TEST(Hyperparameters, AnUnknownParameterIsAnErrorWithTheKnownOnes) {
  const std::string error = error_of("Adam", {{"learning_rate", 0.1}});
  EXPECT_NE(error.find("optimizer.params.learning_rate: Adam has no such parameter"), std::string::npos) << error;
  EXPECT_NE(error.find("lr, weight_decay, betas, eps"), std::string::npos) << error;
  EXPECT_EQ(error.find("nesterov"), std::string::npos) << error;
}

TEST(Hyperparameters, AParameterOfAnotherOptimizerIsUnknown) {
  EXPECT_NE(error_of("adam", {{"momentum", 0.9}}).find("no such parameter"), std::string::npos);
  EXPECT_NE(error_of("sgd", {{"betas", {0.9, 0.9}}}).find("no such parameter"), std::string::npos);
}

TEST(Hyperparameters, MaxGradNormPointsToGradientClipping) {
  EXPECT_NE(error_of("adam", {{"max_grad_norm", 1.0}}).find("gradient_clipping"), std::string::npos);
}

TEST(Hyperparameters, WrongTypesAndRangesAreNamed) {
  EXPECT_NE(error_of("adam", {{"lr", "auto"}}).find("lr: got \"auto\", expected a number"), std::string::npos);
  EXPECT_NE(error_of("adam", {{"lr", -1}}).find("lr: got -1"), std::string::npos);
  EXPECT_NE(error_of("adam", {{"betas", {0.9}}}).find("two numbers"), std::string::npos);
  EXPECT_NE(error_of("adam", {{"betas", {0.9, 1.0}}}).find("betas: got 1"), std::string::npos);
  EXPECT_NE(error_of("sgd", {{"nesterov", true}}).find("nesterov"), std::string::npos);
  EXPECT_NE(error_of("lamb", {{"min_coeff", 11.0}}).find("min_coeff: got 11"), std::string::npos);
  EXPECT_NE(error_of("lamb", json::array()).find("expected an object"), std::string::npos);
}

TEST(Hyperparameters, AnUnknownTypeIsAnErrorWithTheKnownOnes) {
  EXPECT_NE(error_of("adan", json::object()).find("expected adam, adamw, sgd, adagrad, lion or lamb"),
            std::string::npos);
}

}  // namespace
}  // namespace deepspeed::optim
