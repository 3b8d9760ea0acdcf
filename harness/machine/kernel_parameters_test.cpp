#include "harness/machine/kernel_parameters.h"

#include "harness/base/json.h"
#include "harness/machine/provenance.h"

#include <gtest/gtest.h>

namespace proberace {

TEST(KernelParameters, OnlyThoseThatChangeTimingAreKept) {
  EXPECT_EQ(timing_parameters("BOOT_IMAGE=/vmlinuz-6.1 root=UUID=1b2c ro mitigations=auto,nosmt isolcpus=2-3 "
                              "ip=10.0.0.2::10.0.0.1 nohz_full=2-3 nosmt idle=poll api_key=x quiet\n"),
            "mitigations=auto,nosmt isolcpus=2-3 nohz_full=2-3 nosmt idle=poll");
  EXPECT_EQ(timing_parameters(
                "intel_idle.max_cstate=0 processor.max_cstate=1 rcu-nocbs=1 hugepagesz=2M hugepages=8"),
            "intel_idle.max_cstate=0 processor.max_cstate=1 rcu-nocbs=1 hugepagesz=2M hugepages=8");
  EXPECT_EQ(timing_parameters("root=/dev/vda"), "");
  EXPECT_EQ(timing_parameters(""), "");
}

TEST(KernelParameters, NoPartOfAnotherIsKept) {
  EXPECT_EQ(timing_parameters("note=\"secret idle=poll secret\" idle=halt"), "idle=halt");
  EXPECT_EQ(timing_parameters("my.idle=poll idlepoll xidle"), "") << "names are compared whole";
  EXPECT_EQ(timing_parameters("idle=halt -- mitigations=off"), "idle=halt") << "what follows is init's";
}

TEST(MachineName, IsMakerFamilyProcessorsAndHypervisor) {
  EXPECT_EQ(machine_name("Intel(R) Xeon(R) Processor", 2, "KVMKVMKVM"), "intel-xeon-2cpu-kvm");
  EXPECT_EQ(machine_name("AMD EPYC", 2, "KVMKVMKVM"), "amd-epyc-2cpu-kvm");
  EXPECT_EQ(machine_name("AMD EPYC 9R14 96-Core Processor", 96, ""), "amd-epyc-9r14-96cpu-bare");
  EXPECT_EQ(machine_name("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", 8, "VMwareVMware"),
            "intel-core-i7-8650u-8cpu-vmware");
  EXPECT_EQ(machine_name("", 1, "Odd Vendor"), "unknown-1cpu-odd-vendor");
}

TEST(Provenance, RecordsNoOtherParameterOfTheKernel) {
  const Json line = provenance().at("kernel_command_line");
  ASSERT_TRUE(line.is_string()) << "/proc/cmdline";
  const std::string kept = line.get<std::string>();
  EXPECT_TRUE(timing_parameters(kept) == kept) << "it holds others, which are not shown here";
}

} // namespace proberace
