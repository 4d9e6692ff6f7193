// The `deepspeed` command. It links no torch, so that it starts in milliseconds.
#include "launcher/launcher.h"

int main(int argc, char** argv) { return deepspeed::launcher::run(argc, argv); }
