# Tests by name. CTest entries: `queue` (behaviour of one layer), `queue.stress`,
# `queue.work_deque_model`, `http.h1_parser_fuzz`, `check.layers`, `install`, ... so that ctest -R takes
# a layer, a file or a kind.

# Without TIMEOUT, how long the test may take is up to ./test (ctest --timeout): more if somebody asks for
# more operations.
function(weft_register name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT;PROCESSORS" "COMMAND" ${ARGN})
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(
    ${name} PROPERTIES LABELS ${arg_LABEL} ENVIRONMENT "${WEFT_TEST_ENVIRONMENT}")
  if(arg_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
  if(arg_PROCESSORS)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${arg_PROCESSORS})
  endif()
  # What takes long starts first, in a fresh build too: else the last one runs alone at the end. Rough seconds.
  set(cost_checks 90)
  set(cost_stress 30)
  set(cost_model 20)
  set(cost_system 10)
  set(cost_test 5)
  if(DEFINED cost_${arg_LABEL})
    set_tests_properties(${name} PROPERTIES COST ${cost_${arg_LABEL}})
  endif()
endfunction()

# A whole-system test program, for tests/<folder>/CMakeLists.txt:
#   weft_add_test_program(NAME sources... [GTEST] [TIMEOUT seconds])
# With GTEST it gets the tests' common main; without, its own main's exit code decides.
function(weft_add_test_program name)
  cmake_parse_arguments(arg "GTEST" "TIMEOUT" "" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(arg_GTEST AND NOT GTest_FOUND)
    return()
  endif()
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE weft::weft)
  if(arg_GTEST)
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/main.cpp)
    target_link_libraries(${name} PRIVATE GTest::gtest)
  endif()
  weft_apply_warnings(${name})
  weft_register(${name} COMMAND ${name} LABEL system TIMEOUT ${arg_TIMEOUT})
endfunction()

# --- models: the interleaving checker and every *_model.cpp, all compiled with WEFT_MODEL=1 ----------
# The checker's library also has base/ in it (assert and its like): an archive, so that only what a
# model needs is taken. Other sources are named by the model in its first lines:
#   // model-sources: weft/task/foo.cpp weft/task/bar.cpp
if(WEFT_BUILD_MODELS)
  weft_files(model_library testing/model source)
  if(model_library)
    set(model_main ${PROJECT_SOURCE_DIR}/weft/testing/model/main.cpp)  # not for the checker's own tests
    list(REMOVE_ITEM model_library ${model_main})
    weft_files(model_base base source)
    add_library(weft_model STATIC ${model_library} ${model_base})
    target_compile_features(weft_model PUBLIC cxx_std_23)
    target_compile_definitions(weft_model PUBLIC WEFT_MODEL=1)
    target_include_directories(weft_model PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_options(weft_model PUBLIC -O2 ${WEFT_USAGE_OPTIONS})  # -O2: millions of executions
    target_link_libraries(weft_model PUBLIC Threads::Threads)
    weft_apply_warnings(weft_model)
    add_library(weft_model_main OBJECT ${model_main})
    target_link_libraries(weft_model_main PUBLIC weft_model)
    weft_apply_warnings(weft_model_main)

    foreach(layer IN LISTS WEFT_LAYERS ITEMS testing/model)
      weft_files(models ${layer} model)
      foreach(file IN LISTS models)
        get_filename_component(stem ${file} NAME_WE)
        string(REPLACE "/" "_" prefix ${layer})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})  # the comment may change
        file(STRINGS ${file} lines LIMIT_COUNT 40 REGEX "^// model-sources:")
        set(extra "")
        foreach(line IN LISTS lines)
          string(REGEX REPLACE "^// model-sources:" "" line "${line}")
          separate_arguments(names UNIX_COMMAND "${line}")
          list(TRANSFORM names PREPEND ${PROJECT_SOURCE_DIR}/)
          list(APPEND extra ${names})
        endforeach()
        add_executable(${prefix}_${stem} ${file} ${extra})
        target_link_libraries(${prefix}_${stem} PRIVATE weft_model_main weft_model)
        weft_apply_warnings(${prefix}_${stem})
        string(REPLACE "/" "." dotted ${layer})
        # A search that is too big ends by itself, by processor time: this is only for one that hangs, and
        # has room for a slow machine that does much else.
        weft_register(${dotted}.${stem} COMMAND ${prefix}_${stem} LABEL model TIMEOUT 1800)
      endforeach()
    endforeach()

    weft_files(model_tests testing/model test)
    if(model_tests AND GTest_FOUND)
      add_executable(weft_model_test ${model_tests})
      target_link_libraries(weft_model_test PRIVATE GTest::gtest_main GTest::gtest weft_model)
      weft_apply_warnings(weft_model_test)
      weft_register(model COMMAND weft_model_test LABEL test TIMEOUT 600)
    endif()
  endif()
endif()
if(WEFT_ONLY_MODELS)
  return()
endif()

# --- behaviour and stress: one program a layer, with the common main --------------------------------
if(GTest_FOUND)
  add_library(weft_test_main OBJECT tests/support/main.cpp)
  target_link_libraries(weft_test_main PUBLIC weft::weft GTest::gtest)
  weft_apply_warnings(weft_test_main)
  if(WEFT_PRECOMPILE)
    include(cmake/ahead.cmake)
    weft_compile_ahead(weft_test_main)
  endif()

  foreach(layer IN LISTS WEFT_LAYERS)
    foreach(kind test stress)
      weft_files(files ${layer} ${kind})
      if(NOT files OR (layer STREQUAL "tls" AND NOT TARGET weft_tls))
        continue()
      endif()
      set(program weft_${layer}_${kind})
      add_executable(${program} ${files})
      target_link_libraries(${program} PRIVATE weft_test_main)
      weft_apply_warnings(${program})
      if(WEFT_PRECOMPILE)
        target_precompile_headers(${program} REUSE_FROM weft_test_main)
      endif()
      if(kind STREQUAL "test")
        weft_register(${layer} COMMAND ${program} LABEL test TIMEOUT 120)
      else()  # real threads: it gets the machine's two cores to itself
        weft_register(${layer}.stress COMMAND ${program} LABEL stress PROCESSORS 2)
      endif()
    endforeach()
  endforeach()

  # Suites that were found to bear it that a worker is taken from a job at any await (tests/support/handed_on.hpp, which
  # needs the census). In others tests share plain variables between the jobs of one worker.
  if(WEFT_CENSUS)
    foreach(layer channel sync together)
      weft_register(${layer}.handed_on
                    COMMAND ${CMAKE_COMMAND} -E env WEFT_HANDED_ON=1 $<TARGET_FILE:weft_${layer}_test>
                    LABEL system TIMEOUT 300 PROCESSORS 2)
    endforeach()
  endif()
endif()

# --- fuzz targets: always a replay of the corpus and of seeded mutations of it ------------------------
# The corpus of weft/http/parser_fuzz.cpp is tests/corpus/http_parser, or tests/corpus/parser.
file(GLOB corpora LIST_DIRECTORIES TRUE CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/corpus/*)
foreach(layer IN LISTS WEFT_LAYERS)
  weft_files(files ${layer} fuzz)
  if(layer STREQUAL "tls" AND NOT TARGET weft_tls)
    continue()
  endif()
  foreach(file IN LISTS files)
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${stem})
    set(corpus ${PROJECT_SOURCE_DIR}/tests/corpus/${layer}_${name})
    if(NOT corpus IN_LIST corpora)
      set(corpus ${PROJECT_SOURCE_DIR}/tests/corpus/${name})
    endif()
    add_executable(${layer}_${stem} ${file} tests/support/fuzz_replay.cpp)
    target_link_libraries(${layer}_${stem} PRIVATE weft::weft)
    weft_apply_warnings(${layer}_${stem})
    weft_register(${layer}.${stem}
                  COMMAND ${layer}_${stem} ${corpus}
                  LABEL fuzz TIMEOUT 120)
    if(WEFT_FUZZ)
      add_executable(${layer}_${stem}_libfuzzer ${file})
      target_link_libraries(${layer}_${stem}_libfuzzer PRIVATE weft::weft)
      target_link_options(${layer}_${stem}_libfuzzer PRIVATE -fsanitize=fuzzer)
      weft_apply_warnings(${layer}_${stem}_libfuzzer)
    endif()
  endforeach()
endforeach()

# --- benchmarks: one program a file, run by hand; benchmarks/ has what ./bench runs ------------------
if(WEFT_BUILD_BENCHMARKS AND benchmark_FOUND)
  foreach(layer IN LISTS WEFT_LAYERS)
    weft_files(files ${layer} bench)
    foreach(file IN LISTS files)
      get_filename_component(stem ${file} NAME_WE)
      add_executable(${layer}_${stem} ${file})
      target_link_libraries(${layer}_${stem} PRIVATE weft::weft benchmark::benchmark
                                                     benchmark::benchmark_main)
      weft_apply_warnings(${layer}_${stem})
    endforeach()
  endforeach()
endif()
if(WEFT_BUILD_BENCHMARKS)
  file(GLOB benchmarks CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/CMakeLists.txt)
  if(benchmarks)
    add_subdirectory(benchmarks)
  endif()
endif()

# --- whole-system tests: every tests/<name>/ that has a CMakeLists.txt ---------------------------------
file(GLOB systems CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*/CMakeLists.txt)
foreach(file IN LISTS systems)
  get_filename_component(folder ${file} DIRECTORY)
  add_subdirectory(${folder})
endforeach()

if(WEFT_CHECKS OR WEFT_COMPILER_CHECKS)
  include(cmake/checks.cmake)
endif()
