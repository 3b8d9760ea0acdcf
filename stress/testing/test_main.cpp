// main of the tests that run cells: the nursery is forked while the process is single-threaded.
#include "harness/cell/cell.h"

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  proberace::start_nursery();
  return RUN_ALL_TESTS();
}
