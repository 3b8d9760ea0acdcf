# Read by ctest: a test for each suite of `program`, in a process of its own. One process per test, as
# gtest_discover_tests has it, would spend minutes on starting 2,300 of them.
# Those whose threads race or are timed have the machine to themselves; what runs one thread goes beside others.
set(one_thread "/(Isa|Awkward)$")
set(timeout 1500)
if(DEFINED ENV{PROBERACE_LONG})
  set(timeout 14400)
endif()
if(EXISTS "${program}")
  execute_process(COMMAND ${program} --gtest_list_tests OUTPUT_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" lines "${listed}")
  foreach(line IN LISTS lines)
    if(line MATCHES "^([^ ]+)\\.( |$)")
      set(suite ${CMAKE_MATCH_1})
      # Brief: what failed, and what was skipped and why.
      add_test(${suite} ${program} --gtest_filter=${suite}.* --gtest_brief=1)
      set(alone TRUE)
      if(program MATCHES "unit_tests$" OR suite MATCHES "${one_thread}")
        set(alone FALSE)
      endif()
      set_tests_properties(${suite} PROPERTIES TIMEOUT ${timeout} RUN_SERIAL ${alone})
    endif()
  endforeach()
else()
  add_test(${program} ${program}) # not built: a failure
endif()
