# Read by ctest: makes a test of each suite of `program`, called FOLDER/SUITE after its source and labelled with
# the folder. Each runs in a process of its own. A process for each test, as gtest_discover_tests has it, would
# spend minutes on starting 2,300 of them.
set(timeout 1500)
if(DEFINED ENV{PROBERACE_LONG})
  set(timeout 14400)
endif()

# Suites whose threads race or are timed have the machine to themselves. Those of one thread run beside others,
# and so do those that only hunt with controlled schedules: their threads run one at a time.
set(beside_others "/(Awkward|Emulated|Isa|Sequences)$|^(Campaigns|Mutants|OutOfTree)$")
# These take long. `scripts/test --quick` runs all others.
set(slow "^(Campaigns|CommandLine|Hunting|Mutants|OutOfTree|StressCommand|Strategies/(Awkward|Bystanders\
|EveryPromise|Footprints|HandlersMayJump|Isa|Parked|ProbesInOwnPath|RandomScenarios|Room|Saturation|Sequences\
|SeveralThreadsHit|SignalsSeeOriginalPc|TracerPassesOn|WhileOthersRun|Zlib))$")

function(proberace_suite suite folder)
  set(test ${folder}/${suite})
  set(labels ${folder})
  set(alone TRUE)
  if(program MATCHES "unit_tests$")
    set(test unit/${test})
    list(APPEND labels unit)
    set(alone FALSE)
  elseif(suite MATCHES "${beside_others}")
    set(alone FALSE)
  endif()
  if(NOT suite MATCHES "${slow}")
    list(APPEND labels quick)
  endif()
  # Brief: prints only failed and skipped tests.
  add_test(${test} ${program} --gtest_filter=${suite}.* --gtest_brief=1)
  set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} RUN_SERIAL ${alone})
  if(suite MATCHES "/Sequences$") # the longest that runs beside others, so it begins first
    set_tests_properties(${test} PROPERTIES COST 100)
  endif()
endfunction()

if(EXISTS "${program}")
  execute_process(COMMAND ${program} --gtest_list_tests --gtest_output=xml:${program}.xml OUTPUT_QUIET
                  COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${program}.xml listed)
  string(REGEX MATCHALL "<testsuite name=\"[^\"]+|file=\"[^\"]+/(harness|stress)/[a-z]+" listed "${listed}")
  foreach(line IN LISTS listed)
    if(line MATCHES "^<testsuite name=\"(.+)")
      set(suite ${CMAKE_MATCH_1})
    elseif(suite AND line MATCHES "([a-z]+)$") # the folder of the suite's first test
      proberace_suite(${suite} ${CMAKE_MATCH_1})
      unset(suite)
    endif()
  endforeach()
else()
  add_test(${program} ${program}) # not built: a failure
endif()
