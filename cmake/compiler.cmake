# One language level and one set of warnings for everything of ours.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# Flags of every C target. No contraction: tiers and devices agree bit for bit because every
# operation is rounded once, where the source says so.
add_library(hyperc_flags INTERFACE)
target_compile_options(hyperc_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow
  -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -ffp-contract=off>)
target_compile_definitions(hyperc_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE _FILE_OFFSET_BITS=64)
if(HYPERC_WERROR)
  target_compile_options(hyperc_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(HYPERC_COVERAGE)
  target_compile_options(hyperc_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:--coverage>)
  target_link_options(hyperc_flags INTERFACE --coverage)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(HYPERC_X86_64 ON)
  target_compile_definitions(hyperc_flags INTERFACE HC_X86_64)
endif()
