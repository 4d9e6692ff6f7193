// The `ds_report` command. It links no torch, so that it starts in milliseconds.
#include "hosts/ds_report.h"

int main(int argc, char** argv) {
  return deepspeed::hosts::run_tool("ds_report", argc, argv, deepspeed::hosts::run_ds_report);
}
